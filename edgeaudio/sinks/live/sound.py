"""The live sound of one source, from Blocks: Opus in streams without a hole, one after the other.

Owns: when a stream begins and ends, its sequence, the time of each message, and which of several channels is sent.
Does not know: leases, which sound may be heard (release.py), encoding (media/), how messages are sent.

A hole in the sound ends a stream with what the encoder still has, and begins another with an encoder of its own: so
sound that may not be heard is in no state of an encoder either. Messages are cut at multiples of MESSAGE_S since the
stream's beginning: how the sound was split changes no bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from edgeaudio.media.opus_packets import OpusEncoder, OpusPackets
from edgeaudio.media.writer import OPUS_RATE_HZ
from edgeaudio.sinks.live.continuity import Allowance, Continuity
from edgeaudio.sinks.live.release import Release
from edgeaudio.tracks.heard_channel import HeardChannel
from edgeaudio.types import Block, EpochEnd, Level, LiveSound, Samples, Scores

MESSAGE_S: Final = 0.2  # of sound


class SoundSource:
    """Every stream of one source, while it is leased. Times are monotonic seconds, handed in."""

    def __init__(self, never_with: Mapping[str, float], now_s: float) -> None:
        """`never_with`: by label, the score from which on sound may not be heard; empty: all may."""
        self._never_with = never_with
        self._release = Release(never_with)
        self._is_judged = bool(never_with)
        self._allowance = Allowance(now_s)
        self._channel = HeardChannel(is_strict=self._is_judged)
        self._stream: _Stream | None = None
        self._had_stream = False

    def take(self, item: Block | EpochEnd | Level | Scores, now_s: float) -> Iterator[LiveSound]:
        """Yield the messages that an item completes or allows to be sent."""
        match item:
            case Block():
                yield from self._take_block(item, now_s)
            case Scores():
                yield from self._send(self._release.take_scores(item))
            case Level() if self._channel.take_level(item) and self._is_judged:
                self._release = Release(self._never_with)  # what is held back was mixed otherwise
            case EpochEnd() if not self._is_judged:  # else its last scores are still to come
                yield from self._end_stream()

    def _take_block(self, block: Block, now_s: float) -> Iterator[LiveSound]:
        """Take the next sound.

        Of several channels, what is recognised is sent. Until it is known, nothing is: another might hold what no model
        judges.
        """
        heard = self._channel.mixed(block)
        if heard is None or not self._allowance.takes(block.duration_s, now_s):
            if not self._is_judged:
                yield from self._end_stream()
            return
        yield from self._send(self._release.take_block(heard))

    def _end_stream(self) -> Iterator[LiveSound]:
        """Yield what is left of the stream."""
        stream, self._stream = self._stream, None
        if stream is not None:
            yield from stream.end()

    def _send(self, blocks: Iterator[Block]) -> Iterator[LiveSound]:
        for block in blocks:
            if self._stream is None or not self._stream.is_continued_by(block):
                yield from self._end_stream()
                self._stream = _Stream(block, follows_gap=self._had_stream, is_judged=self._is_judged)
                self._had_stream = True
            yield from self._stream.feed(block)


class _Stream:
    """Messages of sound without a hole."""

    def __init__(self, first: Block, *, follows_gap: bool, is_judged: bool) -> None:
        self._continuity = Continuity(first)
        self.is_continued_by = self._continuity.is_continued_by
        self._source = first.source
        self._follows_gap = follows_gap
        self._is_judged = is_judged
        self._encoder = OpusEncoder(first.sample_rate)
        self._first_offset = first.offset
        self._offsets_per_sample = first.sample_rate / OPUS_RATE_HZ
        self._piece = max(1, round(MESSAGE_S * first.sample_rate))  # samples
        self._waiting: list[Samples] = []
        self._n_waiting = 0
        self._sequence = 0
        self._position = 0

    def feed(self, block: Block) -> Iterator[LiveSound]:
        self._continuity.take(block)
        self._waiting.append(block.samples)
        self._n_waiting += len(block.samples)
        if self._n_waiting < self._piece:
            return
        held = np.concatenate(self._waiting)
        end = len(held) - len(held) % self._piece
        for begin in range(0, end, self._piece):
            yield from self._message(self._encoder.feed(held[begin : begin + self._piece]))
        self._waiting, self._n_waiting = [held[end:].copy()], len(held) - end  # a view would keep all of `held`

    def end(self) -> Iterator[LiveSound]:
        """Yield what the encoder still has."""
        if self._n_waiting:
            yield from self._message(self._encoder.feed(np.concatenate(self._waiting)))
        yield from self._message(self._encoder.flush())

    def _message(self, encoded: OpusPackets) -> Iterator[LiveSound]:
        if not encoded.count:
            return
        heard = max(self._position - self._encoder.pre_skip, 0)  # samples of the stream that were heard before
        yield LiveSound(
            source=self._source,
            stream=self._continuity.stream,
            sequence=self._sequence,
            at=self._continuity.at(self._first_offset + heard * self._offsets_per_sample),
            position=self._position,
            pre_skip=self._encoder.pre_skip,
            count=encoded.count,
            follows_gap=self._follows_gap and self._sequence == 0,
            is_judged=self._is_judged,
            packets=encoded.packets,
        )
        self._sequence += 1
        self._position += encoded.count
