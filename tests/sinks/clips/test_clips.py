"""Clips of a real pipeline's events hold the sound that they say, to the sample."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from support.clip_studio import LOUD, QUIET, START, Listener, Studio, clips_in, config, quiet
from support.sound_files import decoded
from support.tflite import manifest_of

from edgeaudio.clips.library import Clip
from edgeaudio.clips.record import MAX_TEXT
from edgeaudio.recognise.fused_model import FusedStream
from edgeaudio.recognise.fusion import Combination, MemberOutput
from edgeaudio.recognise.manifest import ClipSection, DetectorSection, FuseSection
from edgeaudio.sinks.clips import source_clips
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.types import Samples

pytestmark = pytest.mark.integration  # minutes of sound

RATE = 8000
# two models of different rates, clip lengths, periods and votes
SHORT = ClipSection(sample_rate=4000, n_samples=1200, period_ms=70)
LONG = ClipSection(sample_rate=8000, n_samples=16_000, period_ms=500)


def models() -> list[Listener]:
    return [
        Listener("short", SHORT, hold_s=0.2),
        Listener("long", LONG, votes=2, votes_of=3, hold_s=1.5),
    ]


class Half(Listener):
    """A listener that is half as sure."""

    def scores(self, values: Samples) -> Samples:
        return super().scores(values) / np.float32(2)


class Pair:
    """A fused model of two listeners: the mean of what they say of LOUD. It and the second have long names."""

    def __init__(self) -> None:
        self.members = (Listener("loud-member", SHORT), Half("half", SHORT))
        sections = (FuseSection(name, "0" * 64, {LOUD: LOUD}) for name in ("loud-member", "m" * 250))
        self.manifest = replace(
            manifest_of("waveform", name="p" * 250, labels=(LOUD,), clip=SHORT, detector=DetectorSection(hold_s=0.2)),
            fuse=tuple(sections),
            combine="mean",
        )
        outputs = [MemberOutput(member.manifest.reported, 1 / 256) for member in self.members]
        self._combination = Combination(self.manifest, outputs)

    def fused_stream(self) -> FusedStream:
        return FusedStream(self.members, self._combination, [False] * len(self.members))


def with_bangs(n: int, *begins: int, length: int = 4000, channels: int = 1) -> Samples:
    """Quiet sound with a loud stretch from each of these samples on; it begins with a click."""
    sound = quiet(n, channels)
    for begin in begins:
        sound[begin : begin + length] *= 100
        sound[begin] = 0.9
    return sound


def check_sound(clip: Clip, sound: Samples) -> None:
    """Hold a clip without gaps to the sound of its epoch."""
    record = clip.record
    found, rate = decoded(clip.sound)
    assert (rate, len(found)) == (record.sound.sample_rate, record.sound.count)
    expected = sound[record.origin.first : record.origin.first + len(found)]
    assert np.array_equal(found, expected.reshape(len(expected), -1))
    assert record.sound.bytes == clip.sound.stat().st_size


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("format_", ["wav", "flac"])
@pytest.mark.parametrize("block", [160, 1000, 4321])
def test_clips_of_two_models_hold_every_sample_around_their_events(tmp_path, format_, channels, block):
    sink = ClipsSink(config(tmp_path, format=format_))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    bangs = (80_000, 200_000)
    sound = with_bangs(320_000, *bangs, channels=channels)
    studio.play(sound, RATE, block=block)
    sink.close()
    clips = clips_in(tmp_path)
    onsets = {event.id: event for event in studio.events if event.kind == "onset" and event.label == LOUD}
    offsets = {event.id: event for event in studio.events if event.kind == "offset" and event.label == LOUD}
    assert len(onsets) == 4
    assert {clip.record.id for clip in clips} == set(onsets)
    assert {clip.record.model for clip in clips} == {"short", "long"}
    for clip in clips:
        record, onset, offset = clip.record, onsets[clip.record.id], offsets[clip.record.id]
        check_sound(clip, sound)
        first, last = round((onset.offset_s or 0) * RATE), round((offset.offset_s or 0) * RATE)
        assert record.origin.first == first - 3 * RATE
        assert record.sound.onset == 3 * RATE
        assert record.sound.offset == last - first + 3 * RATE
        assert record.sound.count == last - first + 5 * RATE
        assert (record.before.got_s, record.after.got_s, record.gaps) == (3.0, 2.0, ())
        assert record.onset == onset.at
        assert record.end is not None
        assert abs(record.end - offset.at) < timedelta(milliseconds=1)
        assert record.score == pytest.approx(offset.score)
        assert record.threshold == 0.5
        assert abs(record.begin - (record.onset - timedelta(seconds=3))) < timedelta(milliseconds=1)
        # the click is where the record says, and the onset was dated to it
        click = next(each for each in bangs if abs(each - first) < 4000)
        found, _ = decoded(clip.sound)
        assert found[click - record.origin.first, 0] == np.float32(np.round(0.9 * 2**23) / 2**23)


@pytest.mark.parametrize("by", [timedelta(days=-5), timedelta(days=3650)], ids=["back", "ahead"])
@pytest.mark.parametrize("step", [70_000, 81_000, 90_000], ids=["before the onset", "in the event", "after it"])
def test_a_step_of_the_clock_inside_a_clip_leaves_its_times_those_of_its_samples(tmp_path, step, by):
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models()[:1])
    studio.connect()
    sound = with_bangs(160_000, 80_000)
    studio.play(sound[:step], RATE)
    studio.step_clock(by)
    studio.play(sound[step:], RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    record = clip.record
    check_sound(clip, sound)
    (onset,) = [event for event in studio.events if event.kind == "onset"]
    assert record.onset == onset.at
    assert (record.onset - record.begin).total_seconds() == pytest.approx(record.sound.onset / RATE, abs=2e-3)
    assert record.end is not None
    assert record.sound.offset is not None
    lasted = (record.sound.offset - record.sound.onset) / RATE
    assert (record.end - record.onset).total_seconds() == pytest.approx(lasted, abs=2e-3)


def test_an_opus_clip_has_its_click_where_its_record_says(tmp_path):
    sink = ClipsSink(config(tmp_path, format="opus"))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    studio.play(with_bangs(160_000, 80_000, length=20), RATE)
    sink.close()
    clips = clips_in(tmp_path)
    assert len(clips) == 2
    for clip in clips:
        record = clip.record
        found, rate = decoded(clip.sound)
        assert (rate, len(found)) == (48_000, record.sound.count)
        click = (80_000 - record.origin.first) * 6
        assert abs(int(np.abs(found[:, 0]).argmax()) - click) <= 48
        assert record.sound.onset == record.before.got_s * 48_000


def test_the_pre_roll_is_shorter_where_the_sound_begins_later(tmp_path):
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models()[:1])
    studio.connect()
    sound = with_bangs(80_000, 8000)
    studio.play(sound, RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    check_sound(clip, sound)
    assert clip.record.origin.first == 0
    assert clip.record.before.asked_s == 3.0
    assert clip.record.before.got_s == clip.record.sound.onset / RATE == pytest.approx(1.0, abs=0.02)


def test_a_long_event_has_the_longest_clip_and_says_that_it_went_on(tmp_path):
    sink = ClipsSink(config(tmp_path, longest_s=8.0))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    sound = with_bangs(RATE * 60, RATE * 10, length=RATE * 40)
    studio.play(sound[: RATE * 25], RATE)
    before_its_end = clips_in(tmp_path)
    assert {clip.record.model for clip in before_its_end} == {"short", "long"}
    studio.play(sound[RATE * 25 :], RATE)
    sink.close()
    clips = clips_in(tmp_path)
    assert [clip.record.id for clip in clips] == [clip.record.id for clip in before_its_end]
    for clip in clips:
        check_sound(clip, sound)
        assert clip.record.sound.count == 8 * RATE
        assert (clip.record.sound.offset, clip.record.end, clip.record.after.got_s) == (None, None, 0.0)
        assert clip.record.score == pytest.approx(1.0)


@pytest.mark.parametrize("longest_s", [30.0, 6.0], ids=["the whole event", "not its end"])
def test_a_clip_of_a_fused_model_has_its_members_scores_where_its_own_is_from(tmp_path, longest_s):
    sink = ClipsSink(config(tmp_path, longest_s=longest_s))
    sink.open()
    studio = Studio(sink, [Pair()])
    studio.connect()
    sound = with_bangs(RATE * 20, RATE * 8, length=RATE * 6)
    sound[RATE * 9 :] *= 0.7  # the onset is not the peak, nor is the end
    sound[RATE * 10 : RATE * 12] *= 1.4
    studio.play(sound, RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    onset, offset = (event for event in studio.events if event.label == LOUD)
    record = clip.record
    assert (record.end is None) == (longest_s == 6.0)
    assert list(record.members) == ["loud-member", "m" * MAX_TEXT]
    assert sum(record.members.values()) / 2 == pytest.approx(record.score)
    assert record.members != dict(onset.members)
    if longest_s == 30.0:
        assert list(record.members.values()) == [score for _, score in offset.members]
    assert record.model == "p" * MAX_TEXT


@pytest.mark.parametrize("again", [RATE, 16_000], ids=["the same format", "another sample rate"])
def test_a_gap_before_the_event_is_in_the_record_and_another_format_ends_the_sound(tmp_path, again):
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models()[:1])
    studio.connect()
    studio.play(quiet(40_000, seed=1), RATE)
    studio.connect(after_s=0.75)
    sound = with_bangs(10 * again, again)
    studio.play(sound, again)
    sink.close()
    (clip,) = clips_in(tmp_path)
    record = clip.record
    found, _ = decoded(clip.sound)
    if again != RATE:
        assert (record.gaps, record.origin.epoch, record.origin.first) == ((), 1, 0)
        check_sound(clip, sound)
        return
    (gap,) = record.gaps
    assert record.origin.epoch == 0
    assert gap.lost_s == pytest.approx(0.75)
    onset = record.sound.onset - gap.at  # in the second epoch
    # three seconds before the onset, by the clock
    assert record.sound.onset / RATE + 0.75 == pytest.approx(3.0, abs=1e-3)
    joined = np.concatenate([studio.sound_of(0)[record.origin.first :], sound])
    assert np.array_equal(found[:, 0], joined[: len(found)])
    assert gap.at == 40_000 - record.origin.first
    assert abs(onset - again) < 200


@pytest.mark.parametrize("after_s", [2.0, 12.0], ids=["with the gap in memory", "long after the gap was written"])
def test_sound_after_a_reconnection_completes_the_post_roll(tmp_path, after_s):
    sink = ClipsSink(config(tmp_path, after_s=after_s))
    sink.open()
    studio = Studio(sink, models()[:1])
    studio.connect()
    sound = with_bangs(44_000, 40_000)
    studio.play(sound, RATE)
    studio.connect(after_s=0.5)
    studio.play(quiet(round((after_s + 3.0) * RATE), seed=2), RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    record = clip.record
    assert [gap.lost_s for gap in record.gaps] == [pytest.approx(0.5)]
    assert record.sound.offset is not None
    assert record.after.got_s + 0.5 == pytest.approx(after_s, abs=1e-3)
    found, _ = decoded(clip.sound)
    joined = np.concatenate([sound, studio.sound_of(1)])
    assert np.array_equal(found[:, 0], joined[record.origin.first :][: len(found)])


def test_a_clip_is_finished_when_no_more_sound_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(source_clips, "WAIT_S", 0.0)
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    sound = with_bangs(46_000, 40_000)
    studio.play(sound, RATE)
    studio.disconnect(complete=True)
    sink.tick()
    clips = clips_in(tmp_path)
    assert len(clips) == 2
    for clip in clips:
        check_sound(clip, sound)
        assert clip.record.after.got_s < 2.0
        assert clip.record.origin.first + clip.record.sound.count == len(sound)


def test_overlapping_events_share_the_sound(tmp_path):
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models()[:1])
    studio.connect()
    sound = with_bangs(240_000, 80_000, 90_000, 100_000)
    studio.play(sound, RATE)
    sink.close()
    clips = clips_in(tmp_path)
    assert len(clips) == 3
    for clip in clips:
        check_sound(clip, sound)
    spans = [(clip.record.origin.first, clip.record.origin.first + clip.record.sound.count) for clip in clips]
    assert spans[1][0] < spans[0][1]
    assert spans[2][0] < spans[1][1]


def test_sound_is_kept_no_longer_than_an_event_may_be_reported_late(tmp_path):
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    most = 0
    for _ in range(20):
        studio.play(quiet(RATE * 5), RATE)
        studio.connect(after_s=1.0)
        studio.play(quiet(RATE * 5), RATE)
        most = max(most, sink._sources["porch"].bytes)
    # long: a clip of 2 s, 7 more that overlap or count, one period; and the pre-roll; and a Block
    assert most <= (2.0 + 7 * 0.5 + 0.5 + 3.0) * RATE * 4 + 4000
    sink.close()


def test_events_of_other_labels_or_lower_scores_have_no_clip(tmp_path):
    sink = ClipsSink(config(tmp_path, labels=frozenset({"second"})))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    studio.play(with_bangs(160_000, 80_000), RATE)
    sink.close()
    assert clips_in(tmp_path) == []
    assert (sink.written, sink.lost) == (0, 0)

    sink = ClipsSink(config(tmp_path, min_score=0.99))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    sound = quiet(240_000)
    sound[80_000:84_000] *= 0.15 / QUIET
    sound[160_000] = 0.9
    studio.play(sound, RATE)
    sink.close()
    clips = clips_in(tmp_path)
    assert len({event.id for event in studio.events if event.label == LOUD}) == 4
    assert [clip.record.onset > START + timedelta(seconds=15) for clip in clips] == [True, True]
    assert (sink.lost, sink.withheld.total()) == (0, 2)


def test_dropped_blocks_are_a_gap_of_their_length(tmp_path, monkeypatch):
    sink = ClipsSink(config(tmp_path))
    sink.open()
    studio = Studio(sink, models()[:1])
    studio.connect()
    sound = with_bangs(120_000, 80_000)
    studio.play(sound[:60_000], RATE)
    monkeypatch.setattr(sink, "handle", lambda _: None)
    studio.play(sound[60_000:61_000], RATE)
    monkeypatch.undo()
    studio.play(sound[61_000:], RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    record = clip.record
    assert [gap.lost_s for gap in record.gaps] == [0.125]
    assert record.origin.first + record.gaps[0].at == 60_000
    found, _ = decoded(clip.sound)
    joined = np.concatenate([sound[:60_000], sound[61_000:]])
    assert np.array_equal(found[:, 0], joined[record.origin.first :][: len(found)])
