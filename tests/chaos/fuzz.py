"""Random servers, by the grammars of HLS, session descriptions and RTP.

Owns: the run, and the corpus of cases that once failed. A case is a kind and a number, which is its seed.
Does not know: how its servers are made (fuzz_hls.py, fuzz_rtsp.py).

`python -m chaos.fuzz hls 17` tries one case alone, in this process; `python -m chaos.fuzz 90`
tries others for 90 minutes.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from support.camera import Script, camera
from support.scripted_web import Asked, scripted_web

from chaos import decoder as child
from chaos.decoder import DECODED
from chaos.fuzz_hls import HlsServer, sounds
from chaos.fuzz_rtsp import script
from chaos.mutations import Decoder, memory_faults
from chaos.table import table

KINDS = ("hls", "rtsp")
CORPUS = Path(__file__).parents[1] / "cases" / "fuzz.txt"
_LIMIT_S = 15.0  # each is given up after seconds; an hour is long, and the machine may be busy
_WARM_UP = 0.25  # of the time, before memory counts
_MIN_GROWTH_MINUTES = 10
_GROWTH_LIMIT_MB = 5

Case = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fuzz:
    """Results of the cases."""

    cases: int
    decoded: int
    refused: dict[str, int]  # by Reason
    unnamed: tuple[str, ...]  # case and traceback of what was no SourceError
    crashed: tuple[str, ...]  # case and exit status
    hung: tuple[str, ...]
    growth_mb: float  # of the decoding process after the warm-up
    peak_mb: float

    @property
    def faults(self) -> tuple[str, ...]:
        """The limits that were exceeded, a line each."""
        grown = memory_faults(self.growth_mb, _GROWTH_LIMIT_MB, self.peak_mb)
        return (*self.unnamed, *self.crashed, *self.hung, *grown)


class Servers:
    """The servers of all cases, at addresses that name the case."""

    def __init__(self, folder: Path) -> None:
        self._sound = sounds(folder)
        self._hls: dict[str, HlsServer] = {}
        self._script = Script()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._port = self._stack.enter_context(scripted_web(self._answer)).port
        self._camera = self._stack.enter_context(camera(self._script))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def address(self, case: Case) -> str:
        """Return the address of a case, from its beginning."""
        kind, number = case
        if kind == "hls":
            self._hls = {str(number): HlsServer(f"hls {number}", self._sound)}
            return f"http://127.0.0.1:{self._port}/{number}/list.m3u8"
        made = script(f"rtsp {number}")
        self._script.sdp, self._script.packets, self._script.linger = made.sdp, made.packets, made.linger
        return self._camera

    def _answer(self, asked: Asked) -> bytes:
        server = self._hls.get(asked.target.split("/")[1])
        return b"" if server is None else server.answer(asked)


def fuzz(folder: Path, minutes: float, first: int = 1) -> Fuzz:
    """Try cases one after the other, from number `first` on, for so long."""
    # growth is only seen when the process has met most of what there is
    warm_up_s = 60 * minutes * _WARM_UP if minutes >= _MIN_GROWTH_MINUTES else float("inf")
    end_s = time.monotonic() + 60 * minutes
    numbers = itertools.takewhile(lambda _: time.monotonic() < end_s, itertools.count(first))
    return try_cases(folder, ((kind, number) for number in numbers for kind in KINDS), warm_up_s=warm_up_s)


def corpus() -> list[Case]:
    """The cases that are tried each time the tests run."""
    lines = [line.split("#")[0].split() for line in CORPUS.read_text().splitlines()]
    return [(line[0], int(line[1])) for line in lines if line]


def try_cases(folder: Path, cases: Iterable[Case], *, warm_up_s: float) -> Fuzz:
    """Try these cases in a process of its own, which is replaced where it dies."""
    troubles: dict[str, list[str]] = {"unnamed": [], "crashed": [], "hung": []}
    counts: Counter[str] = Counter()
    peak_mb, before_mb, done, began_s = 0.0, None, 0, time.monotonic()
    with Servers(folder) as servers, Decoder() as decoder:
        for case in cases:
            if before_mb is None and time.monotonic() - began_s >= warm_up_s:
                before_mb = decoder.weigh_mb()
            trouble, outcome = decoder.decode(servers.address(case), _LIMIT_S)
            done += 1
            if outcome is None:
                troubles[trouble].append(f"{case[0]} {case[1]}: {decoder.last_words}")
                print(troubles[trouble][-1], file=sys.stderr, flush=True)
                before_mb = None if trouble == "crashed" else before_mb
                continue
            peak_mb = max(peak_mb, outcome.peak_mb)
            if "Traceback" in outcome.outcome:
                troubles["unnamed"].append(f"{case[0]} {case[1]}: {outcome.outcome}")
                print(troubles["unnamed"][-1], file=sys.stderr, flush=True)
            else:
                counts[outcome.outcome] += 1
        growth_mb = 0.0 if before_mb is None else decoder.weigh_mb() - before_mb
    decoded = counts.pop(DECODED, 0)
    return Fuzz(
        cases=done,
        decoded=decoded,
        refused=dict(counts.most_common()),
        unnamed=tuple(troubles["unnamed"]),
        crashed=tuple(troubles["crashed"]),
        hung=tuple(troubles["hung"]),
        growth_mb=growth_mb,
        peak_mb=peak_mb,
    )


def main(arguments: list[str]) -> None:
    """Try the cases of the command line, and print the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if len(arguments) == 1:
            print("\n".join(table([fuzz(folder, float(arguments[0]), first=1 + int(time.time()))])))
            return
        kind, numbers = arguments
        first, _, last = numbers.partition("-")
        child.prepare()
        with Servers(folder) as servers:
            for number in range(int(first), int(last or first) + 1):
                began_s = time.monotonic()
                outcome = child.decode(servers.address((kind, number)))
                print(kind, number, *outcome, f"{time.monotonic() - began_s:.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
