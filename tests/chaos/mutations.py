"""Thousands of damaged recordings, playlists and session descriptions: each is decoded, or refused with a reason.

No crash, no hang, no exception but SourceError, no memory that stays. Decoded by the agent's own
capture in a child process. The seed and the number of a file are all it takes to make it again.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from support.camera import Packet, Script, camera, sine_packets
from support.media import sine, write_media
from support.web import web_server

from chaos.decoder import DECODED, WEIGH, Decoded, serve
from chaos.hostile import CAMERAS, damage_text, playlists, session

LIMIT_S = 5.0
WARM_UP = 0.25  # of the files, before memory counts
GROWTH_LIMIT_MB = 2
PEAK_LIMIT_MB = 250  # no allocation is larger than 128 MB
RATE = 16000

# codec, file; the container follows from the name
RECORDINGS = [
    ("pcm_s16le", "a.wav"),
    ("pcm_f32le", "float.wav"),
    ("adpcm_ima_wav", "adpcm.wav"),
    ("pcm_s16be", "a.aiff"),
    ("pcm_s16be", "a.au"),
    ("flac", "a.flac"),
    ("vorbis", "vorbis.ogg"),
    ("libopus", "opus.ogg"),
    ("libmp3lame", "a.mp3"),
    ("aac", "a.aac"),
    ("aac", "a.m4a"),
    ("alac", "alac.mp4"),
    ("aac", "a.mkv"),
    ("libopus", "a.webm"),
    ("aac", "a.ts"),
    ("aac", "a.flv"),
]
_EXTREMES = [b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0", b"\xff" * 8]


@dataclass(frozen=True, slots=True)
class Mutations:
    """Results of the files."""

    files: int
    decoded: int
    refused: dict[str, int]  # by Reason
    unnamed: tuple[str, ...]  # file and traceback of what was no SourceError
    crashed: tuple[str, ...]  # file and exit status
    hung: tuple[str, ...]  # files that took longer than LIMIT_S, twice
    leaked: bool  # a playlist had a local file read
    growth_mb: float  # of the decoding process after the warm-up, without what is free and kept for later
    peak_mb: float  # the most it ever had

    @property
    def faults(self) -> tuple[str, ...]:
        """The limits that were exceeded, a line each."""
        leaked = ["a playlist had a local file read"] if self.leaked else []
        grown = memory_faults(self.growth_mb, GROWTH_LIMIT_MB, self.peak_mb)
        return (*self.unnamed, *self.crashed, *self.hung, *leaked, *grown)


def memory_faults(growth_mb: float, growth_limit_mb: float, peak_mb: float) -> list[str]:
    """Return the limits of memory that a decoding process exceeded."""
    limits = {"grew by": (growth_mb, growth_limit_mb), "took": (peak_mb, PEAK_LIMIT_MB)}
    return [
        f"{what} {is_mb:.0f} MB, over {limit_mb} MB" for what, (is_mb, limit_mb) in limits.items() if is_mb > limit_mb
    ]


def mutations(folder: Path, count: int = 2000, seed: int = 1) -> Mutations:
    """Damage and decode so many files."""
    originals = _originals(folder)
    served = folder / "served"
    served.mkdir()
    lists = playlists(served)
    canary = _Canary(folder / "canary.wav")
    outcomes: list[Decoded] = []
    before_mb = 0.0
    troubles: dict[str, list[str]] = {"unnamed": [], "crashed": [], "hung": []}
    script = Script(packets=_hurried)
    with web_server(served) as port, camera(script) as camera_url, Decoder() as decoder:
        texts = [*lists, ("session.sdp", session(port)), *(("camera.sdp", text) for text in CAMERAS)]
        kinds = len(originals) + len(texts)
        for number in range(count):
            dice = random.Random(f"{seed} {number}")
            kind = number % kinds
            if kind < len(originals):
                path = folder / f"{number}-{originals[kind].name}"
                path.write_bytes(damage(originals[kind].read_bytes(), dice))
                address = str(path)
            else:
                name, text = texts[kind - len(originals)]
                path = served / f"{number}-{name}"
                path.write_bytes(damage_text(text, canary.path, port, dice))
                address = f"http://127.0.0.1:{port}/{path.name}"
                if text in CAMERAS:
                    address, script.sdp = camera_url, path.read_text(errors="replace") or "\n"
            if number == int(count * WARM_UP):
                before_mb = decoder.weigh_mb()
            trouble, outcome = decoder.decode(address)
            if outcome is None:
                troubles[trouble].append(f"{path.name}: {decoder.last_words}")
                continue
            outcomes.append(outcome)
            if "Traceback" in outcome.outcome:
                troubles["unnamed"].append(f"{path.name}: {outcome.outcome}")
            path.unlink()  # what made trouble stays, to be looked at
        growth_mb = decoder.weigh_mb() - before_mb
    counts = Counter(outcome.outcome for outcome in outcomes if "Traceback" not in outcome.outcome)
    decoded = counts.pop(DECODED, 0)
    return Mutations(
        files=count,
        decoded=decoded,
        refused=dict(counts.most_common()),
        unnamed=tuple(troubles["unnamed"]),
        crashed=tuple(troubles["crashed"]),
        hung=tuple(troubles["hung"]),
        leaked=canary.was_read(),
        growth_mb=growth_mb,
        peak_mb=max(outcome.peak_mb for outcome in outcomes),
    )


def damage(data: bytes, dice: random.Random) -> bytes:
    """Return the bytes with one to forty changes: most often few, and often in the header, where they matter most."""
    damaged = bytearray(data)
    for _ in range(dice.choice([1, 1, 2, 4, 40])):
        if not damaged:
            break
        at = dice.randrange(min(len(damaged), 400) if dice.random() < 0.5 else len(damaged))
        length = dice.choice([1, 2, 8, 64, 300, 3000])
        match dice.randrange(7):
            case 0:
                damaged[at] ^= 1 << dice.randrange(8)
            case 1:
                damaged[at] = dice.randrange(256)
            case 2:
                extreme = dice.choice(_EXTREMES)
                damaged[at : at + len(extreme)] = extreme
            case 3:
                damaged[at : at + length] = bytes(len(damaged[at : at + length]))
            case 4:
                del damaged[at : at + length]
            case 5:
                damaged[at:at] = dice.randbytes(length)
            case _:
                damaged[at:at] = damaged[at : at + length]
    if dice.random() < 0.15:
        del damaged[dice.randrange(len(damaged) + 1) :]
    return bytes(damaged)


def _hurried() -> Iterator[Packet]:
    for packet in sine_packets(30):
        packet.wait_s = 0.002
        yield packet


def _originals(folder: Path) -> list[Path]:
    originals = []
    for codec, name in RECORDINGS:
        path = folder / name
        if codec == "vorbis":  # FFmpeg's own encoder knows nothing but stereo, and wants to be asked twice
            sound, options = sine(1000, 44100, 2.0, channels=2), {"strict": "-2"}
            write_media(path, codec, sound, 44100, encoder_options=options)
        else:
            rate = 44100 if name.endswith(".flv") else RATE
            write_media(path, codec, sine(1000, rate, 2.0), rate, bit_rate=48000)
        originals.append(path)
    return originals


class _Canary:
    """A recording that must not be read; its access time shows whether it was."""

    def __init__(self, path: Path) -> None:
        self.path = path
        write_media(path, "pcm_s16le", sine(1000, 8000, 1.0), 8000)
        # where the last reading lies before the last writing, the next one is noted, on most file systems
        os.utime(path, (0, time.time()))

    def was_read(self) -> bool:
        before_s = self.path.stat().st_atime
        self.path.read_bytes()
        assert self.path.stat().st_atime > 0, "this file system does not note when a file was read"
        return before_s > 0


class Decoder:
    """The decoding process, replaced when it died or hung."""

    def __init__(self) -> None:
        self.last_words = ""
        self._context = multiprocessing.get_context("spawn")
        self._start()

    def _start(self) -> None:
        self._connection, other = self._context.Pipe()
        self._process = self._context.Process(target=serve, args=(other,), daemon=True)
        self._process.start()
        other.close()
        self._ask("/nowhere")  # a new process is slow: it has to import everything

    def _ask(self, address: str, limit_s: float = 60.0) -> Any:
        self._connection.send(address)
        return self._connection.recv() if self._connection.poll(limit_s) else None

    def weigh_mb(self) -> float:
        """Return the memory that the process uses, MB."""
        return float(self._ask(WEIGH))

    def decode(self, address: str, limit_s: float | None = None) -> tuple[str, Decoded | None]:
        """Return the result of a file, or its failure."""
        limit_s = LIMIT_S if limit_s is None else limit_s
        for _ in range(2):
            try:
                if outcome := self._ask(address, limit_s):
                    return "", outcome
            except (EOFError, ConnectionError):
                self._process.join(10)
                self.last_words = f"exit status {self._process.exitcode}"
                self._end()
                self._start()
                return "crashed", None
            # it may be this machine that is slow: once more
            self.last_words = f"took longer than {limit_s:g} s"
            self._end()
            self._start()
        return "hung", None

    def _end(self) -> None:
        self._process.kill()
        self._process.join(10)
        self._process.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._connection.send(None)
            self._process.join(5)
        self._end()
