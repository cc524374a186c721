"""Utterances: from Blocks of a source to what somebody said, piece by piece.

Owns: when an utterance begins and ends, where a long one is split, and the sound that belongs to it.
Does not know: how likely speech is (voice_activity.py), what was said.

Speech begins with a probability of BEGIN, and ends with half a second under OFF, or a second and a half under SURE. It
is an utterance if 0.28 s of it had SURE. Some sound around it belongs to it, so that no first consonant is missing.
What lasts too long is split where speech was least likely. Nothing is joined over a hole.

The figures were chosen by tools/evaluate_speech.py, on one half of its speakers and noises.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from math import ceil
from typing import Final

import numpy as np

from edgeaudio.mixing import mixed
from edgeaudio.recognise.buffer import SampleBuffer
from edgeaudio.recognise.resample import Resampler
from edgeaudio.recognise.speech_gain import SpeechGain
from edgeaudio.recognise.voice_activity import HOP_LENGTH, SAMPLE_RATE, VoiceActivity
from edgeaudio.types import Block, Channel, Samples, Utterance

BEGIN: Final = 0.2  # probability with which speech may begin
SURE: Final = 0.5  # with which it is speech
OFF: Final = 0.2  # below it is silence
LEAST_SPEECH_S: Final = 0.28  # with SURE
SILENCE_S: Final = 0.5  # after which an utterance is over
DOUBT_S: Final = 1.5  # without SURE, after which it is over too: noise may keep the probability above OFF
MURMUR_S: Final = 1.0  # of what is not SURE, at most, before the first hop that is and after the last
PAD_S: Final = 0.3  # of sound before and after
LONGEST_S: Final = 30.0
_HOP_S: Final = HOP_LENGTH / SAMPLE_RATE
_LEAST: Final = ceil(LEAST_SPEECH_S / _HOP_S)  # in hops
_SILENCE: Final = ceil(SILENCE_S / _HOP_S)
_DOUBT: Final = ceil(DOUBT_S / _HOP_S)
_MURMUR: Final = round(MURMUR_S / _HOP_S)
_PAD: Final = round(PAD_S / _HOP_S)
_LONGEST: Final = int(LONGEST_S / _HOP_S)


class UtterancePipeline:
    """Utterances of one source. Feed all of its Blocks in order, and call `flush` at the end."""

    def __init__(self, channel: Channel = "mix") -> None:
        """`channel`: its number, from 1, or "mix", the mean of all; "auto" is that too."""
        self._channel = channel
        self._epoch: _Epoch | None = None

    def feed(self, block: Block) -> Iterator[Utterance]:
        """Yield the utterances that a Block ends."""
        if self._epoch is None or not self._epoch.goes_on_with(block):
            yield from self.flush()
            self._epoch = _Epoch(block)
        yield from self._epoch.feed(block, mixed(block.samples, self._channel))

    def flush(self) -> Iterator[Utterance]:
        """Yield the utterance that goes on at the end of the sound, if one does."""
        if self._epoch is not None:
            yield from self._epoch.flush()
            self._epoch = None


class _Epoch:
    """Sound without a hole."""

    def __init__(self, first: Block) -> None:
        self.number = first.epoch
        self._source = first.source
        self._rate = first.sample_rate
        self._resampler = Resampler(first.sample_rate, SAMPLE_RATE)
        self._gain = SpeechGain()
        self._activity = VoiceActivity()
        self._cutter = Cutter()
        self._sound = SampleBuffer()
        self._first_offset = self._received = first.offset
        self._anchor = first.offset, first.at

    def goes_on_with(self, block: Block) -> bool:
        """False for a Block after a hole, and for one of another rate; callers may pass them in one epoch."""
        return (block.epoch, block.offset, block.sample_rate) == (self.number, self._received, self._rate)

    def feed(self, block: Block, signal: Samples) -> Iterator[Utterance]:
        self._anchor = block.offset, block.at
        self._received += len(signal)
        resampled = self._resampler.feed(signal)
        self._sound.append(resampled)
        yield from self._cut(self._activity.feed(self._gain.feed(resampled)))

    def flush(self) -> Iterator[Utterance]:
        resampled = self._resampler.flush()
        self._sound.append(resampled)
        yield from self._cut(self._activity.feed(self._gain.feed(resampled)))
        yield from self._cut(self._activity.feed(self._gain.flush()))
        yield from self._cut(self._activity.flush())
        yield from map(self._utterance, self._cutter.flush())

    def _cut(self, probabilities: Samples) -> Iterator[Utterance]:
        for probability in probabilities:
            yield from map(self._utterance, self._cutter.feed(float(probability)))
        self._sound.forget(self._cutter.needed_from * HOP_LENGTH)

    def _utterance(self, span: tuple[int, int]) -> Utterance:
        begin, end = span[0] * HOP_LENGTH, min(span[1] * HOP_LENGTH, self._sound.stop)
        into = begin * self._resampler.input_per_output / self._rate  # seconds of the epoch's sound
        offset, at = self._anchor
        after = into + Fraction(self._first_offset - offset, self._rate)
        return Utterance(
            source=self._source,
            epoch=self.number,
            at=at + timedelta(seconds=float(after)),
            offset_s=float(into) + self._first_offset / self._rate,
            samples=self._sound.view(begin, end).copy(),
        )


class Cutter:
    """Spans of speech, from its probabilities. Pure: counts hops of 32 ms from 0."""

    def __init__(self) -> None:
        self._next = 0  # hop
        self._free_from = 0  # what is before belongs to an utterance that was cut
        self._begin: int | None = None  # of what may be speech; None: nobody speaks
        self._sure = 0  # hops of it with SURE
        self._least = _LEAST  # of them, that it is an utterance
        self._doubtful = 0  # hops since the last one of them, or since it began
        self._silent = 0  # hops at its end under OFF
        self._values: list[float] = []  # since it began

    @property
    def needed_from(self) -> int:
        """Hop from which sound may still belong to an utterance."""
        begin = self._next if self._begin is None else self._begin
        return max(self._free_from, begin - _PAD)

    def feed(self, probability: float) -> Iterator[tuple[int, int]]:
        """Take the next probability; yield the utterance that it ends, as its first hop and the one after its last."""
        hop, self._next = self._next, self._next + 1
        if self._begin is None:
            if probability < BEGIN:
                return
            self._start(hop, [], _LEAST)
        self._note(probability)
        if self._silent >= _SILENCE or (self._sure and self._doubtful >= _DOUBT):
            yield from self._end()
        elif self._next - self.needed_from >= _LONGEST:
            yield from self._split()

    def flush(self) -> Iterator[tuple[int, int]]:
        """Yield the utterance that goes on at the end."""
        if self._begin is not None:
            yield from self._end()

    def _start(self, hop: int, values: list[float], least: int) -> None:
        self._begin, self._sure, self._doubtful, self._silent, self._values = hop, 0, 0, 0, []
        self._least = least
        for value in values:
            self._note(value)

    def _note(self, probability: float) -> None:
        self._values.append(probability)
        is_sure = probability >= SURE
        self._sure += is_sure
        self._doubtful = 0 if is_sure else self._doubtful + 1
        self._silent = self._silent + 1 if probability < OFF else 0
        if not self._sure and len(self._values) > _MURMUR:
            self._begin = self._next - _MURMUR
            self._values = self._values[-_MURMUR:]
            self._least = _LEAST

    def _end(self) -> Iterator[tuple[int, int]]:
        """End the utterance."""
        end = min(self._next - self._silent, self._next - self._doubtful + _MURMUR)
        first, is_speech = self.needed_from, self._sure >= self._least
        self._begin = None
        if is_speech:
            self._free_from = min(end + _PAD, self._next)
            yield first, self._free_from

    def _split(self) -> Iterator[tuple[int, int]]:
        """Cut an utterance in two, in its second half, where speech was least likely."""
        begin = self._next - len(self._values)
        half = len(self._values) // 2
        cut = begin + half + int(np.argmin(self._values[half:]))
        first, rest = self.needed_from, self._values[cut - begin :]
        self._free_from = cut
        yield first, cut  # it is speech: there is a hop with SURE in each DOUBT_S of it
        self._start(cut, rest, 1)  # a last short word is not dropped
