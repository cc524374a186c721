"""Random HLS servers, by the grammar of playlists: a seed determines the answers.

Owns: the texts, the segments, and the faults from one request to the next.
"""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Callable
from pathlib import Path

from support.media import sine, write_media
from support.scripted_web import Asked

from chaos.mutations import damage

RATE = 16000
NUMBERS = ["0", "1", "2", "3", "5", "7", "-1", "0.5", "1e9", "1e308", "nan", "inf", "4294967296", "9223372036854775807"]
NUMBERS += [
    "2305843009213693951",
    "18446744073709551615",
    "99999999999999999999",
    "-2147483648",
    "0x10",
    "",
    " 1",
    "1 1",
]
WORDS = ["", "a", "AES-128", "SAMPLE-AES", "NONE", "AUDIO", "VIDEO", "SUBTITLES", "EVENT", "VOD", "YES", "identity"]
WORDS += ["mp4a.40.2", "en", "x" * 70, "x" * 600, "\xff\xfe", "a,b=c", "%n%s%p", "\t"]
TAGS = ["EXT-X-VERSION", "EXT-X-TARGETDURATION", "EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-START"]
TAGS += [
    "EXT-X-PLAYLIST-TYPE",
    "EXT-X-INDEPENDENT-SEGMENTS",
    "EXT-X-ENDLIST",
    "EXT-X-GAP",
    "EXT-X-BITRATE",
    "EXT-X-SKIP",
]
TAGS += ["EXT-X-PROGRAM-DATE-TIME", "EXT-X-DISCONTINUITY", "EXT-X-BYTERANGE", "EXT-X-KEY", "EXT-X-MAP", "EXT-X-MEDIA"]
TAGS += ["EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-SESSION-KEY", "EXT-X-DATERANGE", "EXT-X-PART", "EXTINF"]
ATTRIBUTES = [
    "METHOD",
    "URI",
    "IV",
    "KEYFORMAT",
    "TYPE",
    "GROUP-ID",
    "NAME",
    "LANGUAGE",
    "DEFAULT",
    "AUDIO",
    "BANDWIDTH",
]
ATTRIBUTES += ["CODECS", "BYTERANGE", "TIME-OFFSET", "SUBTITLES", "VIDEO", "CHARACTERISTICS", "RESOLUTION"]

Sounds = dict[str, bytes]


def sounds(folder: Path) -> Sounds:
    """What the segments are made of, by name."""
    write_media(folder / "a.ts", "aac", sine(1000, RATE, 0.6), RATE)
    write_media(folder / "a.aac", "aac", sine(1000, RATE, 0.6), RATE, container="adts")
    write_media(folder / "a.mp3", "libmp3lame", sine(1000, RATE, 0.6), RATE)
    write_media(folder / "a.wav", "pcm_s16le", sine(1000, RATE, 0.3), RATE)
    fragments = {"movflags": "+frag_keyframe+empty_moov+default_base_moof"}
    write_media(folder / "a.mp4", "aac", sine(1000, RATE, 0.6), RATE, options=fragments)
    write_media(folder / "v.ts", "aac", sine(1000, RATE, 0.6), RATE, video=True)
    found = {path.name: path.read_bytes() for path in sorted(folder.glob("?.*"))}
    private = b"com.apple.streaming.transportStreamTimestamp\0" + struct.pack(">Q", 90000)
    frame = b"PRIV" + struct.pack(">IH", len(private), 0) + private
    found["id3.aac"] = b"ID3\x04\0\0" + bytes([0, 0, 0, len(frame)]) + frame + found["a.aac"]
    found["words.vtt"] = b"WEBVTT\n\n00:00.000 --> 00:01.000\nx\n"
    return found


class HlsServer:
    """One server. The same requests in the same order get the same answers."""

    def __init__(self, seed: str, sound: Sounds) -> None:
        self._dice = random.Random(seed)
        self._sound = sound
        self._sequence = self._dice.choice([0, 1, 7, 1000])
        self._wild = self._dice.choice([0.02, 0.1, 0.4])  # how often something is odd
        self._is_master = self._dice.random() < 0.3
        self._kind = self._dice.choice(["ts", "ts", "aac", "mp4", "mp3", "any"])
        self._ended = self._dice.random() < 0.4

    def answer(self, asked: Asked) -> bytes:
        """The response, head and body."""
        name = asked.target.rpartition("/")[2].partition("?")[0]
        if "key" in name:
            body = self._dice.randbytes(self._dice.choice([16, 16, 16, 0, 15, 100]))
        elif "list" in name:
            master = self._is_master and not name.startswith("sub")
            body = self._master() if master or (self._odd() and self._odd()) else self._media()
            if self._odd():
                body = _shuffled(body, self._dice)
        else:
            body = self._segment()
        return self._response(body)

    def _odd(self) -> bool:
        return self._dice.random() < self._wild

    def _number(self, usual: float) -> str:
        return self._dice.choice(NUMBERS) if self._odd() else str(usual)

    def _uri(self, usual: str) -> str:
        if not self._odd():
            return usual
        padding = "x" * self._dice.choice([1, 300, 4200])
        return self._dice.choice(
            [
                *(f"{usual}?{padding}", f"./{usual}", f"//127.0.0.1/{usual}", f"data:,{usual}", f"file:///etc/{usual}"),
                *(f"crypto+{usual}", "", "#", "?", "http://", "http://[::1", f"http://u:p@/{usual}"),
                *(f"concat:{usual}|{usual}", "list.m3u8", f"tcp://127.0.0.1:1/{usual}", "\xe4\xf6", "a b", "x" * 5000),
            ]
        )

    def _attributes(self, usual: dict[str, str]) -> str:
        given = dict(usual)
        if self._odd():
            given[self._dice.choice(ATTRIBUTES)] = self._dice.choice([*WORDS, *NUMBERS])
        if self._odd() and given:
            del given[self._dice.choice(sorted(given))]
        quote = "" if self._odd() else '"'
        return ",".join(f"{key}={quote}{value}{quote}" for key, value in given.items())

    def _media(self) -> bytes:
        dice = self._dice
        self._sequence += dice.choice([0, 0, 1, 1, 2]) if not self._odd() else dice.choice([-100, -1, 50, 1 << 40])
        lines = [
            "#EXTM3U",
            f"#EXT-X-TARGETDURATION:{self._number(1)}",
            f"#EXT-X-MEDIA-SEQUENCE:{self._number(self._sequence)}",
        ]
        if self._odd():
            lines.append(f"#EXT-X-PLAYLIST-TYPE:{dice.choice(['EVENT', 'VOD', 'X'])}")
        if self._kind == "mp4" or self._odd():
            lines.append(f"#EXT-X-MAP:{self._attributes({'URI': self._uri('init.mp4')})}")
        if self._odd():
            key = {"METHOD": dice.choice(["AES-128", "SAMPLE-AES"]), "URI": self._uri("key")}
            lines.append(f"#EXT-X-KEY:{self._attributes(key)}")
        for number in range(dice.choice([0, 1, 1, 2, 3, 4]) if not self._odd() else dice.choice([0, 0, 50])):
            if self._odd():
                lines.append(self._tag())
            if self._odd():
                lines.append(f"#EXT-X-BYTERANGE:{self._number(500)}@{self._number(0)}")
            lines += [f"#EXTINF:{self._number(0.6)},", self._uri(f"s{self._sequence + number}.{self._kind}")]
        if self._ended or self._odd():
            lines.append("#EXT-X-ENDLIST")
        return "\n".join(lines).encode("latin-1", "replace")

    def _master(self) -> bytes:
        lines = ["#EXTM3U"]
        for number in range(self._dice.choice([0, 1, 2]) if not self._odd() else 100):
            kind = self._dice.choice(["AUDIO", "AUDIO", "SUBTITLES", "VIDEO", "CLOSED-CAPTIONS"])
            about = {"TYPE": kind, "GROUP-ID": "g", "NAME": str(number), "URI": self._uri(f"sub{number}list.m3u8")}
            lines.append(f"#EXT-X-MEDIA:{self._attributes(about)}")
        for number in range(self._dice.choice([1, 1, 2, 3]) if not self._odd() else self._dice.choice([0, 70])):
            lines.append(f"#EXT-X-STREAM-INF:BANDWIDTH={self._number(64000)},{self._attributes({'AUDIO': 'g'})}")
            lines.append(self._uri(f"sub{number}list.m3u8"))
            if self._odd():
                lines.append(self._tag())
        return "\n".join(lines).encode("latin-1", "replace")

    def _tag(self) -> str:
        value = self._dice.choice([*WORDS, *NUMBERS, self._attributes({"URI": self._uri("x"), "METHOD": "NONE"})])
        return f"#{self._dice.choice(TAGS)}:{value}"

    def _segment(self) -> bytes:
        names = sorted(self._sound)
        name = next((name for name in names if name == f"a.{self._kind}"), None)
        body = self._sound[self._dice.choice(names) if name is None or self._odd() else name]
        if self._odd():
            body = damage(body, self._dice)
        if self._odd():
            body = body[: self._dice.randrange(len(body) + 1)]
        return body

    def _response(self, body: bytes) -> bytes:
        if not self._odd():
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        return self._dice.choice(_RESPONSES)(body, self._dice)


def _shuffled(body: bytes, dice: random.Random) -> bytes:
    """The lines in another order, some twice, some not at all; often after the first."""
    first, *lines = body.split(b"\n")
    for _ in range(dice.choice([1, 2, 5])):
        if not lines:
            break
        at = dice.randrange(len(lines))
        match dice.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(dice.randrange(len(lines) + 1), lines[at])
            case 2:
                lines[at] = lines[at][:200] * dice.choice([2, 2000])
            case _:
                lines.insert(dice.randrange(len(lines) + 1), lines.pop(at))
    return dice.choice([b"\n", b"\n", b"\r\n", b"\r"]).join([first, *lines])


def _status(body: bytes, dice: random.Random) -> bytes:
    code = dice.choice([204, 206, 301, 302, 304, 401, 403, 404, 416, 429, 500, 503, 100, 199, 299, 999])
    where = dice.choice(["/", "list.m3u8", "//", "http://", "file:///etc/passwd", "x" * 5000, "http://127.0.0.1:1/"])
    return f"HTTP/1.1 {code} X\r\nLocation: {where}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _wrong_length(body: bytes, dice: random.Random) -> bytes:
    length = dice.choice([0, len(body) // 2, len(body) + 1, 1 << 40])
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + body


def _chunks(body: bytes, dice: random.Random) -> bytes:
    size = dice.choice([b"%x" % len(body), b"ffffffffffffffff", b"-1", b"", b"7fffffff", b"0"])
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\n" + body + b"\r\n0\r\n\r\n"


def _packed(body: bytes, dice: random.Random) -> bytes:
    data = gzip.compress(body[:65536] * dice.choice([1, 1, 500]))
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + (damage(data, dice) if dice.random() < 0.5 else data)


def _odd_head(body: bytes, dice: random.Random) -> bytes:
    head = dice.choice(
        [
            b"ICY 200 OK\r\nicy-metaint: 10\r\n",
            b"HTTP/1.1 200 OK\r\nicy-metaint: -1\r\n",
            b"\r\n",
            b"RTSP/1.0 200 OK\r\n",
        ]
    )
    extra = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 100) for number in range(dice.choice([0, 5, 300])))
    return head + extra + b"Content-Range: bytes 5-1/*\r\nSet-Cookie: a=b; domain=;;\r\n\r\n" + body


_RESPONSES: list[Callable[[bytes, random.Random], bytes]] = [_status, _wrong_length, _chunks, _packed, _odd_head]
