"""Utterances of one source, from its Blocks and Levels in order.

Owns: which channel is listened to (the one that recognition hears), and that nothing is joined over sound that the
queue before the sink dropped. Does not know: what an utterance is (the pipeline, which is handed in), files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final, Protocol

from edgeaudio.mixing import mixed
from edgeaudio.tracks.heard_channel import HeardChannel
from edgeaudio.types import Block, Level, Utterance

HOLD_S: Final = (
    3.0  # of sound that waits for the first level; it comes after a second, and later where recognition lags
)


class Pipeline(Protocol):
    """What finds utterances in Blocks of one channel."""

    def feed(self, block: Block) -> Iterator[Utterance]:
        """Yield the utterances that a Block ends."""

    def flush(self) -> Iterator[Utterance]:
        """Yield the utterance that goes on at the end of the sound, if one does."""


class SourceSpeech:
    """Speech of one source."""

    def __init__(self, make_pipeline: Callable[[], Pipeline]) -> None:
        self._pipeline = make_pipeline()
        self._heard = HeardChannel(is_strict=False)
        self._held: list[Block] = []  # until the channel is known
        self._next: tuple[int, int, int] | None = None  # epoch, offset and sample rate of the Block that would follow

    def take_block(self, block: Block) -> Iterator[Utterance]:
        """Yield the utterances that a Block ends."""
        if self._held:
            self._held.append(block)
            if sum(held.duration_s for held in self._held) > HOLD_S:  # there are no levels: the mean, as at first
                yield from self._release()
            return
        one = self._heard.mixed(block)
        if one is None:
            self._held.append(block)
        else:
            yield from self._feed(one)

    def take_level(self, level: Level) -> Iterator[Utterance]:
        """Note which channel is heard; yield the utterances in what waited for that."""
        self._heard.take_level(level)
        yield from self._release()

    def end(self) -> Iterator[Utterance]:
        """Yield the utterance that goes on where the sound ends, if one does."""
        yield from self._release()
        yield from self._pipeline.flush()
        self._next = None

    def _release(self) -> Iterator[Utterance]:
        held, self._held = self._held, []
        for block in held:
            yield from self._feed(self._heard.mixed(block) or replace(block, samples=mixed(block.samples, "mix")))

    def _feed(self, block: Block) -> Iterator[Utterance]:
        here = block.epoch, block.offset, block.sample_rate
        if self._next is not None and here != self._next:
            yield from self._pipeline.flush()
        self._next = block.epoch, block.offset + len(block.samples), block.sample_rate
        yield from self._pipeline.feed(block)
