"""Utterances, and sound in which somebody speaks, in Blocks; a pipeline that finds speech by its level."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from edgeaudio.types import Block, Samples, Utterance

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
RATE = 16_000


def said(source: str = "porch", *, after_s: float = 0.0, length_s: float = 0.5, value: float = 0.25) -> Utterance:
    """Return an utterance that began so long after AT."""
    samples = np.full(round(length_s * RATE), value, np.float32)
    return Utterance(source, 0, AT + timedelta(seconds=after_s), after_s, samples)


class LoudPipeline:
    """Finds as an utterance what is loud from its first to its last sample, of whole Blocks."""

    def __init__(self) -> None:
        self._loud: list[Block] = []

    def feed(self, block: Block) -> Iterator[Utterance]:
        assert block.samples.ndim == 1
        if self._loud and block.epoch != self._loud[0].epoch:
            yield from self.flush()
        if np.abs(block.samples).max() > 0.1:
            self._loud.append(block)
        else:
            yield from self.flush()

    def flush(self) -> Iterator[Utterance]:
        loud, self._loud = self._loud, []
        if loud:
            samples: Samples = np.concatenate([block.samples for block in loud])
            yield Utterance(loud[0].source, loud[0].epoch, loud[0].at, loud[0].offset / RATE, samples)


def block(
    second: int, value: float | tuple[float, ...], source: str = "porch", *, epoch: int = 0, length_s: float = 1.0
) -> Block:
    """Return a Block of constant samples, that of so many seconds after AT; of two channels, where two values are."""
    n = round(length_s * RATE)
    columns = [np.full(n, each, np.float32) for each in (value if isinstance(value, tuple) else (value,))]
    samples = np.stack(columns, axis=1) if isinstance(value, tuple) else columns[0]
    return Block(source, epoch, second * RATE, AT + timedelta(seconds=second), RATE, samples)
