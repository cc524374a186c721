"""`never_with`: no clip holds sound in which a label has such a score, and none holds sound that was not judged."""

from __future__ import annotations

import numpy as np
import pytest
from support.clip_studio import LOUD, SPEECH, Listener, Studio, clips_in, config, quiet
from support.sound_files import decoded

from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.sinks.clips import source_clips
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.types import Samples

pytestmark = pytest.mark.integration  # minutes of sound

RATE = 8000
BANG, LENGTH = 20 * RATE, 4000
SHORT = ClipSection(sample_rate=4000, n_samples=1200, period_ms=70)
LONG = ClipSection(sample_rate=8000, n_samples=16_000, period_ms=500)
FORBIDDEN = {SPEECH: 0.2}


def models() -> list[Listener]:
    """One that hears bangs, and one that judges speech."""
    return [Listener("bangs", SHORT, (LOUD,), hold_s=0.2), Listener("speech", LONG, (SPEECH,))]


def played(sink: ClipsSink, sound: Samples, *listeners: Listener, block: int = 1000) -> Studio:
    sink.open()
    studio = Studio(sink, listeners or models())
    studio.connect()
    studio.play(sound, RATE, block=block)
    return studio


def bang(speech_at: int | None = None, *, n: int = 40 * RATE) -> Samples:
    sound = quiet(n)
    sound[BANG : BANG + LENGTH] *= 100
    if speech_at is not None:
        sound[speech_at : speech_at + 800] += 0.05
    return sound


# the clip is from 3 s before the bang to 2 s after it; the model of speech hears 2 s at a time
@pytest.mark.parametrize(
    ("speech_at", "is_kept"),
    [
        (None, True),
        (BANG + 1000, False),
        (BANG - 3 * RATE + 2000, False),
        (BANG + LENGTH + 2 * RATE - 2000, False),
        (BANG + LENGTH + 2 * RATE + 1000, False),  # a clip of the model that begins before ours ends
        (BANG - 6 * RATE, True),
        (BANG + LENGTH + 5 * RATE, True),
    ],
    ids=["none", "in the event", "in the pre-roll", "in the post-roll", "just behind", "long before", "long after"],
)
@pytest.mark.parametrize("block", [160, 4321])
def test_a_clip_with_a_forbidden_score_anywhere_in_its_span_is_not_kept(tmp_path, speech_at, is_kept, block):
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    sound = bang(speech_at)
    played(sink, sound, block=block)
    sink.close()
    clips = clips_in(tmp_path)
    assert [clip.record.model for clip in clips] == ["bangs"] * is_kept
    assert (sink.withheld["porch"], sink.lost) == (int(not is_kept), 0)
    for clip in clips:
        first = clip.record.origin.first
        assert np.array_equal(decoded(clip.sound)[0][:, 0], sound[first : first + clip.record.sound.count])
        assert (clip.record.before.got_s, clip.record.after.got_s) == (3.0, 2.0)


def test_a_model_whose_first_scores_come_after_the_clip_forbids_it_too(tmp_path):
    slow = Listener("slow", ClipSection(sample_rate=4000, n_samples=120_000, period_ms=1000), (SPEECH,))
    sound = bang()
    sound[27 * RATE : 29 * RATE] += 0.05  # behind the clip, and in the first 30 s
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    played(sink, sound, *models(), slow)
    sink.close()
    assert clips_in(tmp_path) == []
    assert sink.withheld["porch"] == 1


def test_a_model_that_is_gone_is_not_waited_for(tmp_path):
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    studio = played(sink, quiet(10 * RATE), *models(), Listener("gone", LONG, (SPEECH,)))
    studio.load(models())
    studio.connect()
    studio.play(bang(), RATE)
    assert len(clips_in(tmp_path)) == 1
    sink.close()


def test_a_score_just_under_the_limit_forbids_nothing(tmp_path):
    sink = ClipsSink(config(tmp_path, never_with={SPEECH: 0.9}))
    sound = bang(BANG + 1000)
    played(sink, sound)
    sink.close()
    assert len(clips_in(tmp_path)) == 1


def test_a_clip_is_not_in_the_folder_before_all_of_it_is_judged(tmp_path):
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    sound = bang()
    end = BANG + LENGTH + 2 * RATE
    studio = played(sink, sound[: end + RATE])
    assert clips_in_folder(tmp_path) == 0
    studio.play(sound[end + RATE :], RATE)
    assert clips_in_folder(tmp_path) == 1
    sink.close()


def test_what_no_model_has_judged_at_the_end_is_not_in_the_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(source_clips, "WAIT_S", 0.0)
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    # the last whole clips of the model end 0.4 s before the sound does
    sound = bang(n=BANG + LENGTH + RATE)[: BANG + LENGTH + RATE - 800]
    studio = played(sink, sound)
    studio.disconnect()
    sink.tick()
    (clip,) = clips_in(tmp_path)
    end = clip.record.origin.first + clip.record.sound.count
    assert end == BANG + RATE
    assert clip.record.after.got_s < 1.0
    sink.close()


def test_post_roll_ends_where_a_reconnection_left_sound_unjudged(tmp_path):
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    sound = bang(n=BANG + LENGTH + RATE)[: BANG + LENGTH + RATE - 800]
    studio = played(sink, sound)
    studio.connect(after_s=0.5)
    studio.play(quiet(10 * RATE), RATE)
    (clip,) = clips_in(tmp_path)
    assert clip.record.origin.first + clip.record.sound.count == BANG + RATE
    assert (clip.record.gaps, sink.lost) == ((), 0)
    sink.close()


def test_pre_roll_that_was_not_judged_before_a_reconnection_is_left_out(tmp_path):
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    sink.open()
    studio = Studio(sink, models())
    studio.connect()
    studio.play(quiet(10 * RATE + 2000), RATE)  # of which the last 0.25 s are judged by none
    studio.connect(after_s=0.5)
    sound = quiet(30 * RATE)
    sound[RATE : RATE + LENGTH] *= 100
    studio.play(sound, RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    assert (clip.record.origin.epoch, clip.record.origin.first, clip.record.gaps) == (1, 0, ())


def test_without_a_model_that_knows_the_label_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("edgeaudio.sinks.clips.open_clip.UNJUDGED_S", 10.0)
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    played(sink, bang(), models()[0])
    assert clips_in(tmp_path) == []
    assert sink.lost == 1
    sink.close()


def test_a_stopped_agent_keeps_only_what_was_judged(tmp_path):
    sink = ClipsSink(config(tmp_path, never_with=FORBIDDEN))
    sound = bang()
    studio = played(sink, sound[: BANG + 2 * RATE])
    studio.disconnect()
    sink.close()
    (clip,) = clips_in(tmp_path)
    assert clip.record.origin.first + clip.record.sound.count <= BANG + 2 * RATE


def clips_in_folder(folder):
    return len(list(folder.glob("*.json")))
