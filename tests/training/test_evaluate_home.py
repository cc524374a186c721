"""Scenes are what they are said to be, thresholds keep to their budget, and no fold chooses its own."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from support.espeak import espeak
from support.tflite import WAVEFORM, manifest_of, model_directory

from edgeaudio.recognise.manifest import FILE_NAME, DetectorSection, Threshold
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.types import Scores
from models.home.train import evaluate_home, home_scenes
from models.home.train.home_scenes import Sounds
from tools.synth import event_scenes
from tools.synth.acoustics import rms
from tools.synth.event_scenes import at_snr, bounds
from tools.training.event_report import write_thresholds
from tools.training.event_trials import GRID, Stretch, Target, Trial, at, calibrate, go_over, judge, listen
from tools.training.recordings import write_wav

__all__ = ["espeak"]  # a fixture

RATE = 1_200
LABELS = ("dog", "rain", "speech")
CLIP_S = 4.0
START = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = DetectorSection()


def a_tone(length_s, lead_s=0.0, tail_s=0.0, pitch_hz=150.0):
    """A tone of RMS 0.5 between silences."""
    wave = np.sin(2 * np.pi * pitch_hz * np.arange(round(length_s * RATE)) / RATE) / np.sqrt(2)
    return np.concatenate([np.zeros(round(lead_s * RATE)), wave, np.zeros(round(tail_s * RATE))]).astype(np.float32)


@pytest.fixture
def sounds(monkeypatch):
    """One fold with two labels; what espeak-ng would say is a tone."""
    monkeypatch.setattr(home_scenes, "espeak", lambda text, rate, rng: a_tone(3.0))
    recordings = {"dog": [a_tone(0.5, lead_s=2.0, tail_s=1.0)], "rain": [a_tone(5.0, pitch_hz=90)]}
    return Sounds(1, RATE, recordings, [a_tone(0.4)], {"drone": [a_tone(2.0, pitch_hz=70)]})


def test_the_snr_is_that_of_the_sounding_parts():
    background = np.random.default_rng(1).normal(0, 0.1, 4 * RATE).astype(np.float32)
    background[: 2 * RATE] *= 5  # louder where the sound is not
    # two tones with a pause between them, which does not count
    sound = np.concatenate([a_tone(0.5, lead_s=2.0), a_tone(0.5, lead_s=0.5, tail_s=0.5)])
    for snr_db in (20, 5):
        added = at_snr(sound, background, slice(2 * RATE, round(3.5 * RATE)), snr_db, RATE) - background
        tone, under = added[2 * RATE : round(2.5 * RATE)], background[2 * RATE : round(3.5 * RATE)]
        assert 20 * np.log10(rms(tone) / rms(under)) == pytest.approx(snr_db, abs=0.05)


def test_silence_around_a_sound_is_not_the_sound():
    first, last = bounds(a_tone(0.5, lead_s=1.0, tail_s=2.0), RATE)
    assert (first / RATE, last / RATE) == pytest.approx((1.0, 1.5), abs=event_scenes.PIECE_S)


@pytest.mark.parametrize("seed", range(8))
def test_the_sound_begins_and_ends_when_the_scene_says(sounds, seed):
    scene = sounds.scene("dog", 60, 0, np.random.default_rng(seed))  # hardly anything but the sound
    target = scene.target
    assert 6.0 <= target.onset_s <= 9.0
    assert target.end_s - target.onset_s == pytest.approx(0.5, abs=2 * event_scenes.PIECE_S)
    assert len(scene.samples) == event_scenes.SCENE_S * RATE
    onset = round(target.onset_s * RATE)
    before, within = scene.samples[:onset], scene.samples[onset : onset + round(0.5 * RATE)]
    assert rms(within) > 20 * rms(before)
    assert "dog" in scene.present


@pytest.mark.parametrize("label", ["dog", "speech"])
def test_a_background_does_not_carry_the_label_and_says_what_it_carries(sounds, label):
    rng = np.random.default_rng(2)
    found = set()
    for _ in range(60):
        background, present = sounds.background(label, 2.0, rng)
        assert rms(background) == pytest.approx(1.0, rel=1e-3)
        found.add(present)
    assert found == {frozenset(), *(frozenset({name}) for name in {"dog", "rain", "speech"} - {label})}


def test_scenes_are_as_many_as_there_are_recordings(sounds):
    assert [sounds.trials(label, 7) for label in ("dog", "speech", "co_alarm", "piano")] == [1, 7, 7, 0]


def test_negatives_have_no_target_and_say_what_they_carry(sounds):
    negatives = list(sounds.negatives(60.0, np.random.default_rng(3)))
    assert all(stretch.target is None for stretch in negatives)
    kinds = {stretch.kind.split(",")[0] for stretch in negatives}
    assert kinds == {
        "recordings of other labels", "drone and hydrophone recordings", "two backgrounds at a time",
        "synthesised beeps and rings", "other synthesised sound", "espeak-ng speech",
    }  # fmt: skip
    assert all(stretch.present == {"speech"} for stretch in negatives if stretch.kind.startswith("espeak"))


def trial(scores, target=None, present=(), fold=1, heard_s=1800.0):
    """One clip a second of 4 s each, with scores of two labels."""
    clips = tuple(
        Scores("trial", "test", START, float(second), CLIP_S, -20.0, None if s is None else np.array(s, np.float32))
        for second, s in enumerate(scores)
    )
    return Trial(fold, "scene" if target else "negative", frozenset(present), target, 0.0 if target else heard_s, clips)


def scene(score, column, fold=1):
    """A scene of the label in that column which has that score at best."""
    label = "ab"[column]
    values = [0.0, 0.0]
    values[column] = score
    return trial([values], Target(label, 10, 1.0, 3.0), {label}, fold)


def negative(a, b=0.0, fold=1):
    return trial([[a, b]], fold=fold)


def outcomes_of(*trials):
    return go_over(trials, ("a", "b"), PLAIN, 1.0)


def test_the_delay_is_to_the_end_of_the_clip_that_made_the_event():
    high, low = [0.9, 0.0], [0.1, 0.0]
    target = Target("a", 10, 6.5, 8.0)
    outcomes = outcomes_of(
        trial([low, low, None, low, high], target, {"a"}),  # known at 8 s
        trial([high, high, low, low, low, low], target, {"a"}),  # at 4 s: before the sound
        trial([low] * 8 + [high], target, {"a"}),  # at 12 s: that clip holds nothing of it
        trial([low] * 4 + [[0.1, 0.8]], target, {"a"}),  # another label
    )
    level = GRID.index(0.5)
    np.testing.assert_array_equal(outcomes.delay_s[level], [1.5, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(outcomes.false[level], [[0, 0], [0, 0], [0, 0], [0, 1]])
    assert np.isnan(outcomes.delay_s[GRID.index(0.92)]).all()


def test_the_detector_is_the_manifest_s():
    once, twice = [[0.9, 0.0], [0.0, 0.0]], [[0.9, 0.0], [0.9, 0.0]]
    outcomes = go_over([trial(once), trial(twice)], ("a", "b"), DetectorSection(votes=2, votes_of=2), 1.0)
    np.testing.assert_array_equal(outcomes.false[GRID.index(0.5)].sum(axis=1), [0, 1])


def test_a_label_that_is_in_the_sound_is_no_false_alarm():
    outcomes = outcomes_of(trial([[0.9, 0.9]], present={"a"}))
    np.testing.assert_array_equal(outcomes.false[GRID.index(0.5), 0], [0, 1])


def test_without_false_alarms_the_threshold_is_in_the_middle_of_what_is_as_good():
    outcomes = outcomes_of(scene(0.81, 0), scene(0.9, 0), negative(0.31))
    assert calibrate(outcomes, 0.0) == {"a": 0.6}  # from 0.35 to 0.8 all is found, and nothing else


def test_a_false_alarm_is_spent_where_it_finds_most():
    easy_a = [scene(0.88, 0) for _ in range(9)]
    easy_b = [scene(0.88, 1) for _ in range(5)]
    hard_b = [scene(0.42, 1) for _ in range(5)]
    outcomes = outcomes_of(*easy_a, scene(0.42, 0), *easy_b, *hard_b, negative(0.52), negative(0.0, 0.52))
    strict, one, two = (calibrate(outcomes, budget) for budget in (0.0, 1.0, 2.0))  # in one hour of negatives
    assert min(strict.values()) > 0.52
    assert one["a"] > 0.52
    assert one["b"] < 0.42
    assert max(two.values()) < 0.42


def test_a_budget_out_of_reach_gives_the_fewest_there_can_be():
    outcomes = outcomes_of(scene(0.3, 0), negative(1.0), negative(0.6))
    chosen = calibrate(outcomes, 0.0)
    assert chosen["a"] > 0.6
    assert at(outcomes, {1: chosen}).false.sum() == 1


def test_an_hour_of_beeps_does_not_decide():
    beeps = replace(negative(0.92), budgeted=False)
    assert calibrate(outcomes_of(scene(0.81, 0), scene(0.9, 0), negative(0.31), beeps), 0.0) == {"a": 0.6}


def test_a_fold_does_not_choose_its_own_thresholds():
    outcomes = outcomes_of(
        scene(0.88, 0, fold=1), negative(0.72, fold=1), scene(0.88, 0, fold=2), negative(0.12, fold=2)
    )  # fmt: skip
    assert calibrate(outcomes, 0.0, without_fold=2)["a"] > 0.72
    assert calibrate(outcomes, 0.0, without_fold=1)["a"] < 0.72
    judged = judge(outcomes, 0.0)
    assert judged.false[:, 0].tolist() == [0, 1, 0, 0], "fold 1 alone has what its threshold was not chosen for"
    assert not np.isnan(judged.delay_s[[0, 2]]).any()
    assert at(outcomes, dict.fromkeys((1, 2), calibrate(outcomes, 0.0))).false.sum() == 0


def test_a_stretch_is_heard_as_a_source_is():
    class Loudness:
        manifest = manifest_of("waveform", labels=LABELS, clip=replace(WAVEFORM, n_samples=RATE, period_ms=500))

        def scores(self, values):
            return np.array([rms(values), 0.0, 0.0], dtype=np.float32)

    heard = listen(Loudness(), Stretch("tone", a_tone(2.0, lead_s=2.0), frozenset({"dog"})), 3, RATE)
    assert (heard.fold, heard.kind, heard.present) == (3, "tone", frozenset({"dog"}))
    assert heard.target is None
    assert heard.heard_s == pytest.approx(7 * 0.5)  # clips of a second in four, every half second
    first, *_, last = heard.scores
    assert first.values is None, "under the gate"
    assert last.values is not None
    assert last.values[0] == pytest.approx(0.5, rel=0.01)


def test_new_thresholds_leave_the_rest_of_the_manifest(tmp_path):
    directory = model_directory(
        tmp_path,
        labels=LABELS,
        description="as it was",
        detector=DetectorSection(votes=2, votes_of=3, hold_s=6.0),
        groups={"weather": ("rain",)},
        thresholds={"rain": Threshold(0.7, 0.1), "weather": Threshold(0.8, 0.2)},
    )
    before = read_manifest(directory / FILE_NAME)
    write_thresholds(directory / FILE_NAME, {"dog": 0.9, "rain": 0.5})
    thresholds = {"dog": Threshold(0.9, 0.54), "rain": Threshold(0.5, 0.3), "weather": Threshold(0.8, 0.2)}
    assert read_manifest(directory / FILE_NAME) == replace(before, thresholds=thresholds)


@pytest.fixture
def data(tmp_path):
    """The least that the evaluation can be made with: two folds of two labels, a spoken digit, other sound."""
    folder = tmp_path / "data"
    pitches_hz = {
        "esc10/dog": 150, "esc10/rain": 90, "speech_digits": 120, "drone": 70, "hydrophone": 200,
    }  # fmt: skip
    for name, pitch_hz in pitches_hz.items():
        (folder / name).mkdir(parents=True)
        for take in (1, 2):
            file = f"0_george_{take}.wav" if name == "speech_digits" else f"{take}-7-A.wav"
            write_wav(folder / name / file, a_tone(1.0, lead_s=0.2, pitch_hz=pitch_hz), RATE)
    return folder


@pytest.fixture
def run(tmp_path):
    """Models of both folds that score loudness, so to speak."""
    folder = tmp_path / "run"
    folder.mkdir()
    for fold in (1, 2):
        a_model(folder, f"fold-{fold}")
    return folder


def a_model(parent, name, **changes):
    clip = replace(WAVEFORM, n_samples=120, period_ms=500)
    return model_directory(parent, **{"name": name, "labels": (*LABELS[:2], "piano"), "clip": clip, **changes})


def test_from_models_to_tables_and_thresholds(espeak, run, data, tmp_path, capsys):
    model = a_model(tmp_path, "home", thresholds={"piano": Threshold(0.8, 0.2)})
    card = model / "README.md"
    card.write_text("# home\n\n## Events\n\noutdated\n\n## More\n\nstays\n")
    arguments = [str(run), "--data", str(data), "--hours", "0.01", "--model", str(model), "--card", str(card)]
    assert evaluate_home.main(arguments) == 0
    text = card.read_text()
    assert "outdated" not in text
    assert text.endswith("## More\n\nstays\n")
    assert capsys.readouterr().out.strip() in text
    assert "Not tried, for want of sound: piano." in text
    for line in ("| dog | 20 dB | 2 |", "| rain | 5 dB | 2 |", "| **mean of the labels** | 10 dB | 4 |"):
        assert line in text
    thresholds = read_manifest(model / FILE_NAME).thresholds
    assert thresholds["piano"] == Threshold(0.8, 0.2), "it was not tried"
    for label in ("dog", "rain"):
        assert f"| {label} | {thresholds[label].on:g} | {thresholds[label].off:g} |" in text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("no run", "run: no model directories fold-1, fold-2, ... there"),
        ("no fold", "fold-2: is not a model directory"),
        ("other labels", "fold-2: its labels or clips are not those of"),
        ("no sound", "there is no sound to try x, y, z with"),
        ("no data", "speech_digits: no recordings of george there"),
        ("no folds", "esc10: two folds at least are needed"),
        ("no card", "none.md: no such file"),
        ("no model", "model.toml: cannot be read"),
        ("no espeak", "espeak-ng is not installed"),
    ],
)
def test_refusals(run, data, tmp_path, capsys, monkeypatch, wrong, words):
    arguments = [str(run), "--data", str(data)]
    monkeypatch.setattr(home_scenes, "espeak", lambda text, rate, rng: a_tone(3.0))
    monkeypatch.setattr(shutil, "which", lambda program: None if wrong == "no espeak" else f"/{program}")
    if wrong == "no run":
        run.rename(tmp_path / "elsewhere")
    elif wrong == "no fold":
        (run / "fold-2").rename(tmp_path / "elsewhere")
    elif wrong in ("other labels", "no sound"):
        for fold in (1, 2) if wrong == "no sound" else (2,):
            (run / f"fold-{fold}").rename(tmp_path / f"old-{fold}")
            a_model(run, f"fold-{fold}", labels=("x", "y", "z"))
    elif wrong == "no data":
        (data / "speech_digits").rename(tmp_path / "elsewhere")
    elif wrong == "no folds":
        for file in (data / "esc10").rglob("2-*"):
            file.unlink()
    elif wrong == "no card":
        arguments += ["--card", str(tmp_path / "none.md")]
    elif wrong == "no model":
        arguments += ["--model", str(tmp_path / "none")]
    assert evaluate_home.main([*arguments, "--hours", "0.01"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("evaluate_home: ")
    assert words in error
