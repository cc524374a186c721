"""Long Blocks of a recording: what is done once a Block is then done once for many seconds of sound."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from edgeaudio.types import Block

LONG_S = 10.0
MAX_SAMPLES = 4_000_000  # of all channels, 16 MB


def long_blocks(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the sound of the Blocks in Blocks of LONG_S; none goes over the end of an epoch or another format."""
    held: list[Block] = []
    n_samples = 0
    for block in blocks:
        if held and not _follows(held[-1], block):
            yield _joined(held)
            held, n_samples = [], 0
        held.append(block)
        n_samples += block.samples.size
        length_s = (block.offset + len(block.samples) - held[0].offset) / block.sample_rate
        if length_s >= LONG_S or n_samples > MAX_SAMPLES:
            yield _joined(held)
            held, n_samples = [], 0
    if held:
        yield _joined(held)


def _follows(last: Block, block: Block) -> bool:
    return (
        (block.epoch, block.sample_rate, block.samples.ndim) == (last.epoch, last.sample_rate, last.samples.ndim)
        and block.samples.shape[1:] == last.samples.shape[1:]
        and block.offset == last.offset + len(last.samples)
    )


def _joined(blocks: list[Block]) -> Block:
    if len(blocks) == 1:
        return blocks[0]
    return replace(blocks[0], samples=np.concatenate([block.samples for block in blocks]))
