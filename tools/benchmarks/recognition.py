"""Recognition of sound that is already there, without capture: what several measurements feed.

Owns: the Blocks, and one pipeline's turn over them. Does not know: what is measured of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import ModelBinding, Scorer, SourcePipeline
from edgeaudio.types import Block, Samples
from tools.benchmarks.cores import pinned
from tools.benchmarks.timing import cpu_s

SOURCE = "camera"


def blocks_of(samples: Samples, rate: int, block_s: float) -> list[Block]:
    """Return samples `(n,)` or `(n, channels)` as the Blocks of one epoch."""
    size, begin = round(block_s * rate), datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Block(SOURCE, 0, start, begin + timedelta(seconds=start / rate), rate, samples[start : start + size])
        for start in range(0, len(samples), size)
    ]


def new_pipeline(model: Scorer, *, period_s: float = 0.0) -> SourcePipeline:
    """Return a pipeline of one model; `period_s`: 0 for the manifest's."""
    return SourcePipeline(SOURCE, [ModelBinding(model, period_s=period_s)], namespace=UUID(int=0))


def feed(pipeline: SourcePipeline, blocks: Sequence[Block]) -> None:
    """Feed Blocks to a pipeline, and drop its results."""
    for block in blocks:
        for _ in pipeline.feed(block):
            pass


def recognising(blocks: Sequence[Block], model: Scorer, *, period_s: float = 0.0) -> Callable[[], object]:
    """Return the work of recognising Blocks by a new pipeline each time."""
    return lambda: feed(new_pipeline(model, period_s=period_s), blocks)


def idle_ms(amplitude: float, *, n_channels: int) -> float:
    """Return the CPU, in ms, of a second of noise at 48 kHz that is below the gate: levels, hum and resampling.

    `amplitude`: its standard deviation.
    """
    rate, seconds, block_s = 48_000, 20, 0.5
    noise = (amplitude * np.random.default_rng(0).standard_normal((seconds * rate, n_channels))).astype(np.float32)
    work = recognising(blocks_of(noise, rate, block_s), load_model(find_model(DEFAULT_MODEL)))
    with pinned():
        return 1000 * cpu_s({"": work}, rounds=3)[""] / seconds
