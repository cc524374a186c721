"""Live sound of one source: it is all there, at its time, in streams without a hole, and no more than may be heard."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clip_studio import START, Listener, Studio, quiet
from support.examples import examples
from support.opus import RATE, Heard, heard

from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.sinks.live import release
from edgeaudio.sinks.live.continuity import BUFFER_S
from edgeaudio.sinks.live.sound import SoundSource
from edgeaudio.types import Block, EpochEnd, Level, LiveSound, Samples, Scores

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEECH = "second"
FORBIDDEN = {SPEECH: 0.2}


def block(samples: Samples, offset: int = 0, *, epoch: int = 1, rate: int = RATE, late_s: float = 0.0) -> Block:
    return Block("porch", epoch, offset, AT + timedelta(seconds=offset / rate + late_s), rate, samples)


def take(source: SoundSource, *items: Block | EpochEnd | Level | Scores, now_s: float = 0.0) -> list[LiveSound]:
    return [message for item in items for message in source.take(item, now_s)]


def level(channel: int | str) -> Level:
    return Level("porch", AT, 1.0, -20.0, -10.0, 0.0, 0.0, heard=channel)  # type: ignore[arg-type]


def tone(hz: float, seconds: float, rate: int = RATE, *, volume: float = 0.3) -> Samples:
    return (volume * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


def loudest_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


def test_all_of_it_is_there_and_at_its_time() -> None:
    rate = 44_100
    sound = tone(300, 5, rate, volume=0.003)
    clicks_s = [0.5, 1.95, 2.003, 4.2]
    for at_s in clicks_s:
        sound[round(at_s * rate) :][:90] += 0.5
    source = SoundSource({}, 0.0)
    messages = take(source, *(block(sound[n : n + 4410], n, rate=rate) for n in range(0, len(sound), 4410)))
    assert max(sum(map(len, each.packets)) for each in messages) < 1000
    assert not any(each.follows_gap or each.is_judged for each in messages)
    messages += take(source, EpochEnd("porch"))
    (stream,) = heard(messages)
    assert stream.at == AT
    assert abs(len(stream.samples) - 5 * RATE) <= 1
    for at_s in clicks_s:
        begin = round((at_s - 0.02) * RATE)
        found = begin + int(np.abs(stream.samples[begin : begin + RATE // 25]).argmax())
        assert abs(found / RATE - at_s) < 0.003


@settings(max_examples=examples(30), deadline=None)
@given(st.lists(st.floats(0, 1), max_size=20), st.sampled_from([8000, 44_100]))
def test_splitting_the_blocks_changes_neither_packets_nor_times(cuts: list[float], rate: int) -> None:
    signal = np.random.default_rng(3).normal(0, 0.1, rate).astype(np.float32)
    whole = take(SoundSource({}, 0.0), block(signal, rate=rate), EpochEnd("porch"))
    ends = [*sorted(round(cut * len(signal)) for cut in cuts), len(signal)]
    source, split, begin = SoundSource({}, 0.0), list[LiveSound](), 0
    for end in ends:
        split += take(source, block(signal[begin:end], begin, rate=rate))
        begin = end
    split += take(source, EpochEnd("porch"))
    assert [message.packets for message in split] == [message.packets for message in whole]
    # a Block's time is rounded to a microsecond
    late = [abs(one.at - other.at) for one, other in zip(split, whole, strict=True)]
    assert max(late) <= timedelta(microseconds=2)


HOLES = {
    "another epoch": block(tone(500, 1), RATE, epoch=2),
    "a missing block": block(tone(500, 1), 2 * RATE),
    "another rate": block(tone(500, 1, 16_000), RATE, rate=16_000),
}


@pytest.mark.parametrize("after", HOLES.values(), ids=HOLES)
def test_a_hole_ends_a_stream_whole_and_begins_one_that_tells(after: Block) -> None:
    source = SoundSource({}, 0.0)
    messages = take(source, block(tone(500, 1.13)), after, EpochEnd("porch"))
    first, second = heard(messages)
    assert (first.at, len(first.samples)) == (AT, round(1.13 * RATE))
    assert (second.at, len(second.samples)) == (after.at, RATE)
    begins = [message.follows_gap for message in messages if not message.sequence]
    assert begins == [False, True]
    assert sum(message.follows_gap for message in messages) == 1


def test_the_times_follow_the_sender_s_clock() -> None:
    source = SoundSource({}, 0.0)
    before = take(source, block(tone(500, 1)))
    after = take(source, block(tone(500, 1), RATE, late_s=0.5))
    assert before[0].at == AT
    assert after[-1].at - before[-1].at == timedelta(seconds=1.5)


def test_of_several_channels_the_one_that_is_recognised_is_sent_and_none_before_it_is_known() -> None:
    both = np.stack([tone(500, 1), tone(2000, 1)], axis=1)
    source = SoundSource({}, 0.0)
    assert take(source, block(both)) == []
    (stream,) = heard(take(source, level(2), block(both, RATE), EpochEnd("porch")))
    assert stream.at == AT + timedelta(seconds=1)
    assert abs(loudest_hz(stream.samples) - 2000) < 5
    (stream,) = heard(take(source, level("mix"), block(both, 2 * RATE), EpochEnd("porch")))
    spectrum = np.abs(np.fft.rfft(stream.samples[:RATE]))
    assert min(spectrum[[500, 2000]]) > 100 * np.median(spectrum)


def test_a_recording_that_is_read_at_full_speed_is_heard_at_that_of_sound() -> None:
    source = SoundSource({}, 0.0)
    quiet_s = np.zeros(8000, np.float32)
    messages = [
        message
        for number in range(300)  # 5 min in 3 s
        for message in take(source, block(quiet_s, number * 8000, rate=8000), now_s=number / 100)
    ]
    heard_s = sum(len(stream.samples) for stream in heard(messages)) / RATE
    assert BUFFER_S - 1 < heard_s < BUFFER_S + 3 + 1


# what may not be heard


class Ears:
    """Live sound beside a real pipeline: what is sent, and how much sound had been played by then."""

    def __init__(self, *models: Listener, rate: int = 8000) -> None:
        self.rate = rate
        self.source = SoundSource(FORBIDDEN, 0.0)
        self.messages: list[LiveSound] = []
        self.delays_s: list[float] = []  # of the first sample of each message
        self.studio = Studio(self, models or (SHORT, LONG))
        self.studio.connect()
        self._played_s = 0.0
        self.drop: Iterator[bool] = iter(())  # whether each of the next scores does not come
        self.lag_s = 0.0  # of the recogniser
        self._waiting: deque[tuple[float, object]] = deque()  # its results, and when they come

    def handle(self, item: object) -> None:
        if not isinstance(item, Block | EpochEnd):
            self._waiting.append((self._played_s + self.lag_s, item))
        else:
            self._hear(item)
        while self._waiting and self._waiting[0][0] <= self._played_s:
            self._hear(self._waiting.popleft()[1])

    def _hear(self, item: object) -> None:
        if isinstance(item, Scores) and next(self.drop, False):
            return
        if isinstance(item, Block):
            self._played_s += item.duration_s
        if isinstance(item, Block | EpochEnd | Level | Scores):
            # as if it came at the speed of sound
            for message in self.source.take(item, self._played_s):
                self.messages.append(message)
                self.delays_s.append(self._played_s - (message.at - START).total_seconds())

    def tick(self) -> None:
        pass

    def play(self, sound: Samples, block: int = 1000) -> None:
        self.studio.play(sound, self.rate, block=block)

    @property
    def streams(self) -> list[Heard]:
        return heard(self.messages)

    def forbidden(self) -> list[tuple[datetime, datetime]]:
        """When each clip with speech began and ended."""
        return [
            (each.at, each.at + timedelta(seconds=each.duration_s))
            for each in self.studio.scores
            if each.values is not None
            and each.info is not None
            and SPEECH in each.info.labels
            and each.values[each.info.labels.index(SPEECH)] >= FORBIDDEN[SPEECH]
        ]


SHORT = Listener("short", ClipSection(sample_rate=4000, n_samples=1200, period_ms=70), ("first",))
LONG = Listener("long", ClipSection(sample_rate=8000, n_samples=16_000, period_ms=500), (SPEECH,))
LONGER = Listener("longer", ClipSection(sample_rate=4000, n_samples=12_000, period_ms=700), (SPEECH,))
ROUNDING = timedelta(microseconds=100)


def assert_nothing_forbidden(ears: Ears) -> None:
    for begin, end in ears.forbidden():
        for stream in ears.streams:
            assert stream.end <= begin + ROUNDING or stream.at >= end - ROUNDING


def speech(n: int, at: int, length: int = 800) -> Samples:
    sound = quiet(n)
    sound[at : at + length] += 0.05
    return sound


def test_sound_is_sent_once_all_clips_that_hold_it_are_judged() -> None:
    ears = Ears()
    ears.play(quiet(20 * 8000))
    (stream,) = ears.streams
    assert stream.at == START
    assert all(message.is_judged for message in ears.messages)
    # the last clip that is judged began at 18 s; the encoder has what makes no whole message
    assert timedelta(seconds=17.8) <= stream.end - START <= timedelta(seconds=18)
    # clips of 2 s, one each 0.5 s, and what a Block and a message wait for
    assert min(ears.delays_s) >= 2.0
    assert max(ears.delays_s) <= 2.0 + 0.5 + 0.2 + 0.125 + 0.01


@pytest.mark.parametrize("models", [(SHORT, LONG), (LONG, LONGER, SHORT)], ids=["one judge", "two"])
@pytest.mark.parametrize(("at", "size"), [(0, 1000), (4001, 160), (37_123, 4321), (79_999, 1000), (151_000, 700)])
def test_nothing_of_a_clip_with_a_forbidden_score_is_sent_and_all_else_is(
    models: tuple[Listener, ...], at: int, size: int
) -> None:
    ears = Ears(*models)
    ears.play(speech(20 * 8000, at), size)
    ears.play(quiet(10 * 8000, seed=1), size)
    forbidden = ears.forbidden()
    assert forbidden
    assert_nothing_forbidden(ears)
    withheld_s = (max(end for _, end in forbidden) - max(START, min(begin for begin, _ in forbidden))).total_seconds()
    sent_s = sum(len(stream.samples) for stream in ears.streams) / RATE
    assert sent_s >= 30 - withheld_s - 3.0 - 0.7 - 0.2 - 0.6
    assert [message.follows_gap for message in ears.messages if not message.sequence][1:] == [True] * (
        len(ears.streams) - 1
    )


def test_scores_that_did_not_come_forbid_what_their_clips_may_have_held() -> None:
    ears = Ears(LONG)
    ears.play(quiet(10 * 8000))
    ears.drop = iter([True])
    ears.play(quiet(10 * 8000, seed=1))
    first, second = ears.streams
    # the clip from 8.5 s to 10.5 s
    assert first.end <= START + timedelta(seconds=8.5)
    assert second.at >= START + timedelta(seconds=10.5)
    assert second.at < START + timedelta(seconds=11.5)


def test_sound_on_both_sides_of_a_reconnection_is_sent_but_what_no_model_judged() -> None:
    ears = Ears(LONG)
    ears.play(quiet(10 * 8000 + 2000))
    ears.studio.connect(after_s=1.0)
    ears.play(quiet(10 * 8000, seed=1))
    first, second = ears.streams
    assert first.end == START + timedelta(seconds=10)
    assert second.at == START + timedelta(seconds=11.25)


def test_another_sample_rate_begins_anew() -> None:
    ears = Ears(LONG)
    ears.play(quiet(10 * 8000))
    ears.studio.connect()
    ears.rate = 16_000
    ears.play(quiet(10 * 16_000))
    assert [stream.at - START for stream in ears.streams] == [timedelta(0), timedelta(seconds=10)]


def test_without_a_model_that_knows_the_label_nothing_is_sent_and_memory_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "MAX_HELD_BYTES", 100_000)
    ears = Ears(SHORT)
    ears.play(quiet(30 * 8000))
    assert ears.messages == []
    track = ears.source._release._track
    assert track is not None
    assert track.bytes <= 100_000


def test_what_had_to_give_way_is_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "MAX_HELD_BYTES", 4 * 8000)  # 1 s, and clips have 2 s
    ears = Ears(LONG)
    ears.play(speech(20 * 8000, 10 * 8000))
    assert_nothing_forbidden(ears)


BRIEF = Listener("brief", ClipSection(sample_rate=8000, n_samples=3200, period_ms=100), (SPEECH,))
CANCEL_S, OTHER_HZ = 5, 1500  # when the channels begin to cancel each other out, and what one alone holds


def cancelling(seconds: float, first_s: float = 0.0) -> Samples:
    """Two channels that cancel each other out from `first_s` on; the softer one has a tone of its own."""
    hum = tone(300, seconds, 8000)
    both = np.stack([hum, tone(OTHER_HZ, seconds, 8000, volume=0.02) - np.float32(0.98) * hum], axis=1)
    return np.concatenate([quiet(round(first_s * 8000), 2) * np.float32(0.01), both[round(first_s * 8000) :]])


def assert_without_other(samples: Samples) -> None:
    """Assert that the tone of the other channel is nowhere."""
    for begin in range(0, len(samples) - RATE // 10, RATE // 10):
        spectrum = np.abs(np.fft.rfft(samples[begin : begin + RATE // 10] * np.hanning(RATE // 10)))
        assert spectrum[OTHER_HZ // 10] < 0.005 * spectrum.max()


@pytest.mark.parametrize("lag_s", [0.0, 4.0])
@pytest.mark.parametrize("judge", [BRIEF, LONG], ids=["0.4 s", "2 s"])
@pytest.mark.parametrize("before", ["mixed", "silent"])
def test_what_was_mixed_otherwise_than_the_models_heard_it_is_not_sent(
    before: str, judge: Listener, lag_s: float
) -> None:
    ears = Ears(judge)
    ears.lag_s = lag_s
    if before == "mixed":
        ears.play(quiet(CANCEL_S * 8000, 2))
        ears.play(cancelling(15.0))
    else:
        ears.play(cancelling(15.0 + CANCEL_S, CANCEL_S))
    # from then on the models hear the first channel alone
    taken = START + timedelta(seconds=CANCEL_S + (before == "mixed"))
    found = [stream.samples[max(0, round((taken - stream.at).total_seconds() * RATE)) :] for stream in ears.streams]
    sent = np.concatenate([samples for samples in found if len(samples) > RATE // 5])
    assert len(sent) > (11 - 2 * lag_s) * RATE
    assert_without_other(sent)


def test_after_a_reload_that_names_another_channel_the_former_one_is_not_sent() -> None:
    both = np.stack([tone(300, 10, 8000), tone(OTHER_HZ, 10, 8000)], axis=1)
    ears = Ears(BRIEF)
    for channel in (2, 1):
        if channel == 1:
            ears.studio.connect()
        ears.studio.load([BRIEF], channel)
        ears.play(both)
    before, after = ears.streams
    assert abs(loudest_hz(before.samples[:RATE]) - OTHER_HZ) < 5
    assert len(after.samples) > 7 * RATE
    assert_without_other(after.samples)
