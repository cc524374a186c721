"""Playlists and session descriptions: whole, damaged, and with addresses that must not be followed."""

from __future__ import annotations

import random
import re
from pathlib import Path

from support.media import sine, write_media

RATE = 16000
SEGMENTS = 3
_HUGE = ["0", "-1", "1e308", "99999999999999999999", "2147483648", "-2147483648", "0x7fffffff", "nan"]
_NUMBER = re.compile(r"\d+(\.\d+)?")


def playlists(served: Path) -> list[tuple[str, str]]:
    """HLS lists by name, whose segments are put into `served`."""
    for number in range(SEGMENTS):
        write_media(served / f"s{number}.ts", "aac", sine(1000, RATE, 0.6), RATE, bit_rate=48000)
    (served / "key").write_bytes(bytes(range(16)))
    size = (served / "s0.ts").stat().st_size
    segments = "".join(f"#EXTINF:0.6,\ns{number}.ts\n" for number in range(SEGMENTS))
    plain = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n{segments}#EXT-X-ENDLIST\n"
    ranges = plain.replace("#EXTINF:0.6,\ns0.ts", f"#EXT-X-BYTERANGE:{size}@0\n#EXTINF:0.6,\ns0.ts")
    locked = plain.replace("#EXTINF", '#EXT-X-KEY:METHOD=AES-128,URI="key",IV=0x01\n#EXTINF', 1)
    (served / "plain.m3u8").write_text(plain)
    rendition = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="x",DEFAULT=YES,URI="plain.m3u8"\n'
    master = f'#EXTM3U\n{rendition}#EXT-X-STREAM-INF:BANDWIDTH=64000,CODECS="mp4a.40.2",AUDIO="a"\nplain.m3u8\n'
    return [("list.m3u8", plain), ("ranges.m3u8", ranges), ("locked.m3u8", locked), ("master.m3u8", master)]


def session(port: int) -> str:
    """A session description that would have its reader listen for packets."""
    return f"{_SESSION}m=audio {port} RTP/AVP 0\na=rtpmap:0 PCMU/8000\n"


_SESSION = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=x\nt=0 0\n"
# of cameras, as they come in answer to DESCRIBE
CAMERAS = [
    (
        f"{_SESSION}a=range:npt=0-5\n"
        "m=video 0 RTP/AVP 97\na=rtpmap:97 H264/90000\n"
        "a=fmtp:97 packetization-mode=1;sprop-parameter-sets=Z0IAKeKQFAe2AtwEBAaQeJEV,aM48gA==\na=control:video\n"
        "m=audio 0 RTP/AVP 96\na=rtpmap:96 L16/16000\na=control:audio\n"
    ),
    (
        f"{_SESSION}c=IN IP4 127.0.0.1\na=control:*\n"
        "m=audio 0 RTP/AVP 96\na=rtpmap:96 MPEG4-GENERIC/16000/1\na=control:audio\n"
        "a=fmtp:96 streamtype=5;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408\n"
    ),
]


def damage_text(text: str, secret: Path, port: int, dice: random.Random) -> bytes:
    """Return the text with a few faults; some addresses lead to `secret`, or back to the server without end."""
    lines = text.splitlines()
    for _ in range(dice.choice([1, 2, 4])):
        at = dice.randrange(len(lines))
        match dice.randrange(7):
            case 0:
                del lines[at]
            case 1:
                lines[at:at] = lines[at : at + dice.randrange(1, 4)] * dice.choice([1, 5, 500])
            case 2:
                lines[at] = _NUMBER.sub(dice.choice(_HUGE), lines[at])
            case 3:
                lines.insert(at, _leads_astray(secret, port, dice))
            case 4:
                lines[at] = lines[at] + "A" * dice.choice([1, 300, 70000])
            case 5:
                lines[at] = re.sub(r"URI=\"[^\"]*\"", f'URI="{_target(secret, port, dice)}"', lines[at])
            case _:
                lines[at] = "".join(chr(dice.randrange(1, 0x250)) for _ in range(dice.randrange(1, 60)))
        if not lines:
            break
    data = "\n".join(lines).encode("utf-8", "replace")
    return data[: dice.randrange(len(data) + 1)] if dice.random() < 0.1 else data


def _leads_astray(secret: Path, port: int, dice: random.Random) -> str:
    target = _target(secret, port, dice)
    return dice.choice([target, f'#EXT-X-MAP:URI="{target}"', f'#EXT-X-KEY:METHOD=AES-128,URI="{target}"'])


def _target(secret: Path, port: int, dice: random.Random) -> str:
    return dice.choice(
        [
            str(secret),
            f"file://{secret}",
            f"concat:{secret}|{secret}",
            f"subfile,,start,0,end,0,,:{secret}",
            f"crypto+file://{secret}",
            f"data:audio/wav;base64,{'A' * 100}",
            f"tcp://127.0.0.1:{port}",
            f"http://127.0.0.1:{port}/plain.m3u8",
            f"http://127.0.0.1:{port}/nowhere.ts",
        ]
    )
