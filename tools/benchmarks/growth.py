"""How the cost grows: with labels, with the overlap of clips, with the sample rate, with the backlog.

Owns: the sounds and the made-up model with any number of labels. Does not know: live sources (streams.py has how the
cost grows with them).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edgeaudio.outbox.journal import Journal
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.manifest import ClipSection, InputSection, Manifest
from edgeaudio.recognise.model import load_model
from edgeaudio.types import Block, Event, Samples
from tools.benchmarks.cores import pinned
from tools.benchmarks.figures import Growth
from tools.benchmarks.outbox import BUILD, encode, events, filled
from tools.benchmarks.recognition import blocks_of, recognising
from tools.benchmarks.timing import cpu_s

LABELS = (10, 30, 100, 300, 521)
OVERLAPS = (1, 2, 4, 10)  # clips begun in the length of one
RATES = (8_000, 16_000, 48_000, 96_000, 192_000)  # Hz
BACKLOGS = (100, 1_000, 10_000, 100_000)
BLOCK_S = 0.25
MODEL = "home"
UNIT = "ms of CPU a second"
BATCH = 100  # messages committed, read and deleted at once


class MadeUpModel:
    """A model that costs nothing: scores that were made beforehand, some of them above the thresholds."""

    def __init__(self, n_labels: int) -> None:
        self.manifest = Manifest(
            name="made-up",
            version="1",
            labels=tuple(f"label_{number}" for number in range(n_labels)),
            sha256="0" * 64,
            clip=ClipSection(16_000, 16_000),
            input=InputSection("waveform"),
        )
        self._scores = np.random.default_rng(0).beta(0.5, 8, (64, n_labels)).astype(np.float32)
        self._number = 0

    def scores(self, values: Samples) -> Samples:
        """Return the next scores."""
        del values
        self._number = (self._number + 1) % len(self._scores)
        scores: Samples = self._scores[self._number]
        return scores


def measure(*, short: bool) -> Iterator[Growth]:
    """Measure each growth."""
    seconds, rounds = (10.0, 1) if short else (30.0, 5)
    with pinned():
        yield _labels(seconds, rounds)
        yield _overlap(seconds, rounds)
        yield _sample_rate(seconds, rounds)
        yield _backlog(BACKLOGS[:2] if short else BACKLOGS, rounds)


def _labels(seconds: float, rounds: int) -> Growth:
    models = {number: MadeUpModel(number) for number in LABELS}
    works = {number: recognising(sound(16_000, seconds), model, period_s=0.5) for number, model in models.items()}
    return Growth("All but the model, clips every 0.5 s", "labels", UNIT, _points(works, seconds, rounds))


def _overlap(seconds: float, rounds: int) -> Growth:
    model = load_model(find_model(MODEL))
    clip = model.manifest.clip
    blocks, clip_s = sound(clip.sample_rate, seconds), clip.n_samples / clip.sample_rate
    works = {overlap: recognising(blocks, model, period_s=clip_s / overlap) for overlap in OVERLAPS}
    return Growth("Model home", "clips that overlap", UNIT, _points(works, seconds, rounds))


def _sample_rate(seconds: float, rounds: int) -> Growth:
    model = load_model(find_model(MODEL))
    works = {rate: recognising(sound(rate, seconds), model, period_s=0.5) for rate in RATES}
    points = tuple((rate / 1000, cost) for rate, cost in _points(works, seconds, rounds))
    return Growth("Model home, clips every 0.5 s", "sample rate in kHz", UNIT, points)


def _backlog(depths: Sequence[int], rounds: int) -> Growth:
    """Measure a batch that is committed, read from the front and deleted, while so many messages wait."""
    BUILD.mkdir(exist_ok=True)
    points = []
    for depth in depths:
        with (
            tempfile.TemporaryDirectory(dir=BUILD) as folder,
            closing(filled(Path(folder) / "outbox", depth)) as outbox,
        ):
            journal, made = Journal(outbox, encode), events(depth, BATCH)

            def turn(journal: Journal = journal, outbox: Outbox = outbox, made: Sequence[Event] = made) -> None:
                journal.commit(made)
                outbox.delete([stored.seq for stored in outbox.pending(BATCH)])

            cost_s = cpu_s({"turn": turn}, rounds=5 * rounds)["turn"]
            points.append((float(depth), 1e6 * cost_s / BATCH))
    return Growth("Detection through the outbox", "messages that wait", "µs of CPU", tuple(points))


def _points(works: Mapping[int, Callable[[], object]], seconds: float, rounds: int) -> tuple[tuple[float, float], ...]:
    """Return the milliseconds of CPU for a second of sound, for each number."""
    found = cpu_s({str(number): work for number, work in works.items()}, rounds=rounds)
    return tuple((float(number), 1000 * cost_s / seconds) for number, cost_s in found.items())


def sound(rate: int, seconds: float) -> list[Block]:
    """Return noise at -20 dBFS, in blocks."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(round(rate * seconds), dtype=np.float32)
    return blocks_of(samples, rate, BLOCK_S)
