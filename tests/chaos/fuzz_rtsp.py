"""Random RTSP cameras, by the grammar of session descriptions and RTP: a seed determines what is sent."""

from __future__ import annotations

import base64
import random
import struct
from collections.abc import Iterator

from support.camera import Packet, Script

from chaos.mutations import damage

# encoding name, clock rate, what belongs into a=fmtp. RealAudio is not among them: any of it kills FFmpeg (cases/)
CODECS = [
    ("L16", 16000, ""),
    ("L24", 48000, ""),
    ("L8", 8000, ""),
    ("PCMU", 8000, ""),
    ("PCMA", 8000, ""),
    ("G722", 8000, ""),
    ("G726-32", 8000, ""),
    ("GSM", 8000, ""),
    ("iLBC", 8000, "mode=20"),
    ("AMR", 8000, "octet-align=1"),
    ("AMR-WB", 16000, "octet-align=1"),
    ("MPA", 90000, ""),
    ("mpa-robust", 90000, ""),
    ("AC3", 48000, ""),
    ("EAC3", 48000, ""),
    ("DV", 90000, ""),
    ("opus", 48000, "sprop-stereo=1"),
    ("speex", 16000, "vbr=on"),
    ("vorbis", 44100, "configuration=AAAAAQDyTBkB"),
    ("theora", 90000, "configuration=AAAAAQDyTBkB"),
    ("QCELP", 8000, ""),
    ("X-QT", 600, ""),
    ("X-QDM", 44100, ""),
    ("X-SVQ", 90000, ""),
    ("MP4A-LATM", 16000, "cpresent=0;config=400028103fc0"),
    ("MPEG4-GENERIC", 16000, "mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408"),
    ("H264", 90000, "packetization-mode=1;sprop-parameter-sets=Z0IAKeKQFAe2AtwEBAaQeJEV,aM48gA=="),
    ("H265", 90000, "sprop-vps=QAEMAf//;sprop-sps=QgEB;sprop-pps=RAHA"),
    ("JPEG", 90000, ""),
    ("VP8", 90000, ""),
    ("VP9", 90000, ""),
    ("AV1", 90000, ""),
    ("H261", 90000, ""),
    ("H263-1998", 90000, ""),
    ("MP2T", 90000, ""),
]
_HUGE = ["0", "-1", "1", "255", "65535", "65536", "4294967295", "99999999999", "nan", ""]
_LINES = ["c=IN IP4 224.0.0.1/1/999", "b=AS:64", "a=range:npt=0-", "a=range:clock=1-2", "a=control:*", "a=recvonly"]
_LINES += [
    "a=framesize:96 99999-99999",
    "a=cliprect:0,0,9999,9999",
    "a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,AA==",
]
_LINES += [
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA",
    'a=OpaqueData:buffer;"TUxUSQABAAAA"',
    'a=StreamName:string;"x"',
]
_LINES += [
    'a=ASMRuleBook:string;"marker=0;"',
    "a=ptime:99999",
    "a=lang:xx",
    "a=source-filter: incl IN IP4 * 1.1.1.1",
    "m=audio",
]


def script(seed: str) -> Script:
    """Return the camera of a seed."""
    dice = random.Random(seed)
    wild = dice.choice([0.0, 0.1, 0.4])
    codec, rate, about = dice.choice(CODECS)
    text = _description(dice, wild, codec, rate, about)
    return Script(
        sdp=text or "\n", packets=lambda: _packets(random.Random(f"{seed} packets"), codec), linger=dice.random() < 0.1
    )


def _description(dice: random.Random, wild: float, codec: str, rate: int, about: str) -> str:
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=x", "t=0 0"]
    for number in range(1 if dice.random() > wild else dice.choice([0, 2, 3, 40])):
        name, clock, params = (codec, rate, about) if number == 0 else dice.choice(CODECS)
        clock_text = dice.choice(_HUGE) if dice.random() < wild else str(clock)
        channels = dice.choice(["", "", "/1", "/2", "/2", f"/{dice.choice(_HUGE)}"])
        lines.append(f"m={'video' if clock == 90000 and dice.random() < 0.5 else 'audio'} 0 RTP/AVP 96")
        lines.append(f"a=rtpmap:96 {name}/{clock_text}{channels}")
        if params:
            lines.append(f"a=fmtp:96 {_parameters(params, dice, wild)}")
        if dice.random() < wild:
            lines.append(dice.choice(_LINES))
        lines.append(f"a=control:{'video' if number else 'audio'}")
    if dice.random() < wild:
        for _ in range(dice.choice([1, 3])):
            at = dice.randrange(len(lines))
            lines[at] = dice.choice(
                [lines[at][: dice.randrange(len(lines[at]) + 1)], lines[at] * 50, dice.choice(_LINES)]
            )
    return "\r\n".join(lines) + "\r\n"


def _parameters(text: str, dice: random.Random, wild: float) -> str:
    parts = []
    for part in text.split(";"):
        key, _, value = part.partition("=")
        if dice.random() < wild:
            blob = dice.randbytes(dice.choice([0, 1, 3, 40, 3000]))
            value = dice.choice(
                [dice.choice(_HUGE), blob.hex(), base64.b64encode(blob).decode(), value[:-1], value * 3]
            )
        parts.append(f"{key}={value}")
    if dice.random() < wild:
        parts += parts
    return ";".join(parts)


def _packets(dice: random.Random, codec: str) -> Iterator[Packet]:
    """Yield a few hundred packets: valid in form, wrong in content."""
    wild = dice.choice([0.02, 0.2, 0.6])
    sequence, timestamp = dice.randrange(1 << 16), dice.randrange(1 << 32)
    for _ in range(dice.choice([3, 60, 300])):
        sequence += 1 if dice.random() > wild else dice.choice([0, 2, 30, -1, 40000])
        timestamp += 320 if dice.random() > wild else dice.choice([0, -320, 1 << 31, 90000 * 3600])
        payload = _payload(codec, dice)
        if dice.random() < wild:
            payload = damage(payload, dice) if payload else b""
        if dice.random() < wild / 2:
            yield Packet(0, b"", 0.0, raw=_interleaved(dice, 1, _report(dice)))
        if dice.random() < wild / 4:
            yield Packet(
                0,
                b"",
                0.0,
                raw=dice.choice([b"$\x00\x00\x00", b"$\x09\xff\xff", b"RTSP/1.0 200 OK\r\n\r\n", b"\0" * 9]),
            )
        yield Packet(0, b"", 0.002, raw=_interleaved(dice, 0, _rtp(dice, wild, sequence, timestamp, payload)))


def _rtp(dice: random.Random, wild: float, sequence: int, timestamp: int, payload: bytes) -> bytes:
    first, kind = 0x80, 96 | (0x80 if dice.random() < 0.5 else 0)
    extra = b""
    if dice.random() < wild:
        first = dice.randrange(256)  # version, padding, extension, number of contributing sources
        extra = dice.randbytes(dice.choice([0, 4, 60]))
    if dice.random() < wild / 4:
        kind = dice.randrange(256)
    header = struct.pack(">BBHII", first, kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 99)
    return header + extra + payload


def _payload(codec: str, dice: random.Random) -> bytes:
    size = dice.choice([1, 4, 33, 160, 320, 1000])
    body = dice.choice([bytes(size), dice.randbytes(size), b"\xff" * size])
    match codec:
        case "MPEG4-GENERIC":
            units = dice.choice([1, 1, 2, 9])
            sizes = b"".join(struct.pack(">H", dice.choice([size // units, size, 8191]) << 3) for _ in range(units))
            return struct.pack(">H", dice.choice([16 * units, 16, 0, 65535])) + sizes + body
        case "MP4A-LATM":
            return bytes([dice.choice([size & 0xFF, 255, 0])]) + body
        case "vorbis" | "theora" | "X-QT" | "X-QDM":
            return struct.pack(">IH", dice.randrange(1 << 32), size) + body
        case "H264" | "H265" | "JPEG" | "VP8" | "VP9" | "AV1" | "H261" | "H263-1998":
            return (
                bytes([dice.choice([0x65, 0x67, 0x68, 0x78, 0x7C, 0x5C, 0x80, 0x00, 0x62])]) + dice.randbytes(3) + body
            )
        case "MP2T":
            return (b"G" + body[:187].ljust(187, b"\xff")) * 3
        case _:
            return body


def _report(dice: random.Random) -> bytes:
    kind = dice.choice([200, 201, 202, 203, 204, 205])
    body = dice.randbytes(dice.choice([0, 4, 24, 200]))
    return struct.pack(">BBH", 0x80 | dice.randrange(32), kind, dice.choice([6, len(body) // 4, 0, 65535])) + body


def _interleaved(dice: random.Random, channel: int, data: bytes) -> bytes:
    return struct.pack(">cBH", b"$", channel, len(data) & 0xFFFF) + data[:65535]
