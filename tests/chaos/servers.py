"""Odd and hostile servers, all at once, beside a good camera: what is told of each, and what they cost the others.

Each source is of a kind that has ended an agent, deafened it, or been told falsely, here or elsewhere.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from support.agents import Listener
from support.camera import Packet, Script, camera, sine_packets
from support.endless import endless_server
from support.icecast import live_server
from support.media import sine, write_media
from support.ports import free_port
from support.rtsp import CODECS, start_gst_server
from support.scripted_web import Answer, Asked, ok, scripted_web
from support.waiting import wait_until
from support.web import make_certificate

from chaos.stage import Stage

RATE = 16000
TOLD_WITHIN_S = 90.0
BESIDE_S = 60.0
LOST_LIMIT_S = 1.0
MEMORY_LIMIT_MB = 250.0
GOOD = "good-camera"
OPUS_WITH_PAUSES = (
    "audiotestsrc is-live=true wave=ticks tick-interval=3000000000 sine-periods-per-tick=500 freq=1000 volume=0.5 "
    "! audio/x-raw,rate=48000,channels=1 ! opusenc dtx=true ! rtpopuspay dtx=true name=pay0 pt=96"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A source: what it is, its settings, and what must be told of it."""

    what: str
    toml: str
    expected: str  # state and reason


@dataclass(frozen=True, slots=True)
class Told:
    """What was told of one source."""

    source: str
    expected: str
    told: str
    after_s: float
    detail: str

    @property
    def faults(self) -> tuple[str, ...]:
        """What must not be."""
        return () if self.told == self.expected else (f"{self.source}: told {self.told}, not {self.expected}",)


def servers(folder: Path, *, short: bool = False) -> list[Told]:
    """Run one agent with all of them."""
    with contextlib.ExitStack() as stack:
        kinds = [kind for make in _MAKERS for kind in make(folder, stack)]
        good = stack.enter_context(start_gst_server(CODECS["pcm_alaw"][1]))
        place = folder / "stage"
        place.mkdir()
        stage = stack.enter_context(Stage(place))
        listener = stage.listen()
        tables = [f'[sources.{GOOD}]\nurl = "{good.url}"\n']
        tables += [f"[sources.source-{number}]\n{kind.toml}\n" for number, kind in enumerate(kinds)]
        agent = stage.agent("".join(tables))
        agent.environment["EDGEAUDIO_MEMORY_LIMIT_MB"] = f"{MEMORY_LIMIT_MB:g}"
        agent.start()
        began = datetime.now(UTC)
        listener.wait_state(GOOD, "listening", timeout_s=60)
        rows = [_told(listener, f"source-{number}", kind, began) for number, kind in enumerate(kinds)]
        before = listener.payloads("/health")[-1]
        time.sleep(5 if short else BESIDE_S)
        reports = len(listener.payloads("/health"))
        wait_until(lambda: len(listener.payloads("/health")) > reports, what="no health report")
        after = listener.payloads("/health")[-1]
        assert agent.process is not None
        ended = agent.process.poll() is not None
        return [*rows, _beside(before, after, ended=ended)]


def _told(listener: Listener, name: str, kind: Kind, began: datetime) -> Told:
    state, _, reason = kind.expected.partition(" ")

    def said() -> list[dict[str, Any]]:
        return [p for p in listener.payloads(f"{name}/status") if (p["state"], p["reason"] or "") == (state, reason)]

    with contextlib.suppress(AssertionError):
        wait_until(said, max(0.1, TOLD_WITHIN_S - (datetime.now(UTC) - began).total_seconds()))
    last = (said() or listener.payloads(f"{name}/status"))[-1]
    told = f"{last['state']} {last['reason'] or ''}".strip()
    after_s = (datetime.fromisoformat(last["since"]) - began).total_seconds()
    return Told(kind.what, kind.expected, told, max(0.0, after_s), last["detail"])


def _beside(before: dict[str, Any], after: dict[str, Any], *, ended: bool) -> Told:
    lost_s = after["sources"][GOOD]["lost_s"] - before["sources"][GOOD]["lost_s"]
    heard_s = after["sources"][GOOD]["heard_s"] - before["sources"][GOOD]["heard_s"]
    held = not ended and lost_s <= LOST_LIMIT_S and after["memory_mb"] <= MEMORY_LIMIT_MB and after["restarts"] == 0
    detail = f"{heard_s:.0f} s heard, {lost_s:.1f} s lost beside them all, {after['memory_mb']:.0f} MB"
    return Told("a good camera", "listening", "listening" if held else "harmed", 0.0, detail)


# the kinds


def _web_sources(folder: Path, stack: contextlib.ExitStack) -> Iterator[Kind]:
    write_media(folder / "a.wav", "pcm_s16le", sine(1000, RATE, 2.0), RATE)
    wav = (folder / "a.wav").read_bytes()

    def web(answer: Answer, context: ssl.SSLContext | None = None) -> int:
        return stack.enter_context(scripted_web(answer, context=context)).port

    def listing(uri: str, *, tag: str = "") -> bytes:
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", "#EXT-X-MEDIA-SEQUENCE:7", "#EXTINF:2,", uri]
        return ok("\n".join([*lines, tag, ""]).encode())

    ours = make_certificate(_made(folder / "ours"))
    strangers = web(lambda _: ok(wav), make_certificate(_made(folder / "strangers")).server_context())
    first = web(lambda _: listing(f"https://localhost:{strangers}/s.ts", tag="#EXT-X-ENDLIST"), ours.server_context())
    yield Kind(
        "an HLS list whose segments are behind somebody else's certificate",
        f'url = "https://localhost:{first}/list.m3u8"\nca_file = "{ours.certificate}"',
        "waiting tls_untrusted",
    )

    def endless(head: bytes, piece: bytes) -> Answer:
        def answer(_: Asked) -> Iterator[bytes]:
            yield head
            yield from itertools.repeat(piece * 1000)

        return answer

    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\r\n#EXTM3U\n"
    yield Kind("an HLS list without an end", _url(web(endless(head, b"#EXTINF:1,\na\n"))), "waiting too_large")
    heads = endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")
    yield Kind("an HTTP head without an end", _url(web(heads)), "waiting too_large")
    yield Kind(
        "a recording's head without an end", f'url = "{stack.enter_context(endless_server())}"', "waiting too_large"
    )
    yield Kind("an HLS list that names itself", _url(web(lambda asked: listing(asked.target))), "waiting timeout")
    segment = _segment(folder)
    standing = web(lambda asked: ok(segment) if asked.target == "/s.ts" else listing("s.ts"))
    yield Kind("a live HLS list that is no longer updated", _url(standing), "stalled playlist_stale")
    nowhere = _redirect(f"http://127.0.0.1:{free_port()}/")
    yield Kind("a redirect to a closed port", _url(web(nowhere)), "waiting refused")
    yield Kind("redirects without an end", _url(web(_redirect("/x"))), "waiting invalid_data")
    for rate in (1, 2_147_483_647):
        kind = f"a WAV header of {rate:,} Hz"
        yield Kind(kind, _url(web(functools.partial(_answer_at_rate, wav, rate))), "waiting invalid_data")

    def drip(_: Asked) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Type: audio/x-wav\r\n\r\n"
        for index in itertools.count():
            time.sleep(0.5)
            yield wav[index : index + 1]

    yield Kind("a server that drips a byte now and then", _url(web(drip)), "waiting timeout")
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 200 * RATE)).astype(np.float32)
    write_media(folder / "radio.mp3", "libmp3lame", noise, RATE, bit_rate=64000)
    radio = stack.enter_context(live_server((folder / "radio.mp3").read_bytes(), 8000, stored_s=12.0))
    yield Kind("a live stream with 12 s in store", f'url = "{radio}"', "listening")


def _rtsp_sources(folder: Path, stack: contextlib.ExitStack) -> Iterator[Kind]:
    pausing = stack.enter_context(start_gst_server(OPUS_WITH_PAUSES))
    yield Kind("Opus that sends nothing while it is quiet", f'url = "{pausing.url}"', "listening")
    alone = stack.enter_context(camera(Script(video=True, alone=20)))
    yield Kind("a camera that soon stops sending sound alone", f'url = "{alone}"', "stalled timeout")
    garbage = stack.enter_context(camera(Script(packets=_garbage, codec="MPEG4-GENERIC")))
    yield Kind("packets that are no sound", f'url = "{garbage}"', "waiting timeout")
    yield Kind("RTSP where nobody pushes", f'url = "rtsp+listen://127.0.0.1:{free_port()}/x"', "connecting")
    nobody = free_port(socket.SOCK_DGRAM)
    yield Kind("UDP that nobody sends", f'url = "udp://127.0.0.1:{nobody}"', "waiting timeout")


def _recordings(folder: Path, stack: contextlib.ExitStack) -> Iterator[Kind]:
    del stack
    write_media(folder / "whole.wav", "pcm_s16le", sine(1000, RATE, 2.0), RATE)
    yield Kind("a recording", f'url = "{folder / "whole.wav"}"', "ended end_of_stream")
    (folder / "cut.wav").write_bytes((folder / "whole.wav").read_bytes()[:20_000])
    yield Kind("a recording that is cut off", f'url = "{folder / "cut.wav"}"', "ended invalid_data")
    tone = sine(1000, RATE, 30.0)[0]
    write_media(folder / "inverted.wav", "pcm_s16le", np.stack([tone, -tone]), RATE)
    loop = f'url = "{folder / "inverted.wav"}"\nloop = true'
    yield Kind("two channels that cancel each other out", loop, "listening channels_cancel")
    os.mkfifo(folder / "pipe")
    yield Kind("a named pipe", f'url = "{folder / "pipe"}"', "waiting invalid_data")


_MAKERS = (_web_sources, _rtsp_sources, _recordings)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _url(port: int) -> str:
    return f'url = "http://127.0.0.1:{port}/list"'


def _redirect(target: str) -> Answer:
    return lambda _: ok(b"", f"Location: {target}", status="302 Found")


def _answer_at_rate(wav: bytes, rate: int, _: Asked) -> bytes:
    return ok(wav[:24] + struct.pack("<II", rate, min(2 * rate, 0xFFFFFFFF)) + wav[32:])


def _segment(folder: Path) -> bytes:
    write_media(folder / "s.ts", "aac", sine(1000, RATE, 2.0), RATE, bit_rate=48000)
    return (folder / "s.ts").read_bytes()


def _garbage() -> Iterator[Packet]:
    dice = np.random.default_rng(1)
    for packet in sine_packets():
        yield Packet(packet.timestamp, dice.bytes(200))
