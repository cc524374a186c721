"""Models are judged over kinds of background that no threshold was chosen on, alone and together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.espeak import espeak
from support.fused import fused_directory, member
from support.tflite import WAVEFORM, model_directory

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.fusion import MemberOutput
from edgeaudio.recognise.manifest import FILE_NAME, DetectorSection, FuseSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.types import Scores
from models.home.train import house_backgrounds
from models.home.train.house_backgrounds import KINDS, write_backgrounds
from models.home.train.house_makers import MAKERS
from models.home.train.house_sources import sources
from tools import evaluate_model
from tools.synth.acoustics import rms
from tools.synth.kind_scenes import PRESENT, SAMPLE_RATE, Kind, KindScenes, dealt, meetings, read_kinds
from tools.training import event_trials, kind_trials, score_cache
from tools.training.dataset import Entry
from tools.training.event_trials import GRID, START, Stretch, Target, Trial, calibrate, go_over
from tools.training.kind_report import (
    LEAST,
    PRICES,
    QUIET_AN_HOUR,
    expected,
    figures,
    operating_point,
    pooled,
    raised,
    rows_of,
    spread,
    thresholds_at,
    unproven_table,
    unproven_thresholds,
)
from tools.training.recordings import write_wav
from tools.training.score_mixes import Heard, fused, renamed

__all__ = ["espeak"]  # a fixture

ROOT = Path(__file__).parents[2]
RATE = 1_200
prices = st.sampled_from(PRICES.tolist())
LABELS = ("dog", "rain", "piano")


def a_tone(length_s, pitch_hz):
    return (0.5 * np.sin(2 * np.pi * pitch_hz * np.arange(round(length_s * RATE)) / RATE)).astype(np.float32)


@pytest.fixture
def sound(tmp_path):
    """Folders of two labels, and of three kinds of background, in one of which dogs bark."""
    for label, pitch_hz in (("dog", 150), ("rain", 90)):
        (tmp_path / "recordings" / label).mkdir(parents=True)
        for number in range(3):
            write_wav(tmp_path / "recordings" / label / f"{number}.wav", a_tone(1.0, pitch_hz + number), RATE)
    for kind, pitch_hz in (("fans", 200), ("kennel", 300), ("ships", 400)):
        (tmp_path / "kinds" / kind).mkdir(parents=True)
        write_wav(tmp_path / "kinds" / kind / "1.wav", a_tone(40.0, pitch_hz), RATE)
    (tmp_path / "kinds" / "kennel" / PRESENT).write_text("dog\n\n")
    return tmp_path


def test_a_folder_of_backgrounds_says_what_sounds_in_each(sound):
    kinds = read_kinds(sound / "kinds")
    assert [(kind.name, sorted(kind.present)) for kind in kinds] == [("fans", []), ("kennel", ["dog"]), ("ships", [])]


def test_a_recording_meets_one_kind_and_none_that_holds_its_label():
    kinds = [Kind(name, (), frozenset(present)) for name, present in (("a", ()), ("b", ("dog",)), ("c", ()))]
    entries = [Entry(Path("x.wav"), label, 1) for label in ("dog", "rain") for _ in range(6)]
    met = meetings(entries, kinds, 1, {})
    numbers = sorted(number for each in met.values() for number, _ in each)
    assert numbers == list(range(12))
    assert {entry.label for _, entry in met["b"]} == {"rain"}
    assert [len(each) for each in met.values()] == [5, 2, 5]
    assert met == meetings(entries, kinds, 1, {})
    nowhere = [replace(kind, present=frozenset({"dog"})) for kind in kinds]
    assert all(entry.label == "rain" for each in meetings(entries, nowhere, 1, {}).values() for _, entry in each)


def test_a_recording_meets_a_kind_that_the_model_of_its_fold_never_heard():
    kinds = [Kind(name, (), frozenset()) for name in "abcde"]
    folds = dealt("edcba", (1, 2))
    assert folds == {"a": 1, "b": 2, "c": 1, "d": 2, "e": 1}
    entries = [Entry(Path("x.wav"), label, 1 + number % 2) for label in ("dog", "rain") for number in range(12)]
    met = meetings(entries, kinds, 1, folds)
    assert {name: {entry.fold for _, entry in each} for name, each in met.items()} == {
        name: {fold} for name, fold in folds.items()
    }
    assert sorted(number for each in met.values() for number, _ in each) == list(range(24))
    assert [len(each) for each in met.values()] == [4, 6, 4, 6, 4]


def test_a_kind_alone_is_heard_by_the_model_of_its_fold(sound):
    kinds = tuple(read_kinds(sound / "kinds"))
    scenes = KindScenes(kinds, (), (10,), 8.0, 1, {"fans": 1, "kennel": 2, "ships": 1})
    assert [{placed.fold for placed in scenes.placed(number)} for number in scenes.numbers] == [{1}, {2}, {1}]
    assert scenes.key != replace(scenes, folds={}).key


def test_scenes_hold_the_sound_over_their_kind_and_a_seed_repeats_them(sound):
    entries = tuple(Entry(path, path.parent.name, 1) for path in sorted((sound / "recordings").rglob("*.wav")))
    scenes = KindScenes(tuple(read_kinds(sound / "kinds")), entries, (60, 0), 12.0, 1)
    placed = [(number, each) for number in scenes.numbers for each in scenes.placed(number)]
    targets = [each.stretch.target for _, each in placed if each.stretch.target]
    assert len(targets) == 6 * 2
    assert {each.stretch.background for number, each in placed if number == 2} == {"kennel"}
    for number, each in placed:
        target = each.stretch.target
        assert (each.fold is None) == (target is None)
        assert each.stretch.present == ({target.label} if target else set()) | ({"dog"} if number == 2 else set())
        if target and target.snr_db == 60:
            onset = round(target.onset_s * SAMPLE_RATE)
            before, within = each.stretch.samples[:onset], each.stretch.samples[onset : onset + SAMPLE_RATE]
            assert rms(within) > 10 * rms(before)
    alone = [each.stretch for _, each in placed if not each.stretch.target]
    assert [len(stretch.samples) for stretch in alone] == [pytest.approx(40 * SAMPLE_RATE, rel=1e-3)] * 3
    again = list(scenes.placed(2))
    assert again
    for (_, one), other in zip([each for each in placed if each[0] == 2], again, strict=True):
        np.testing.assert_array_equal(one.stretch.samples, other.stretch.samples)
    assert scenes.key != replace(scenes, seed=2).key


def clip(second, values, duration_s=4.0):
    given = None if values is None else np.array(values, np.float32)
    return Scores("trial", "m", START, float(second), duration_s, None, given)


def trial(background, kind, values, target=None, heard_s=1800.0):
    present = frozenset({target.label} if target else ())
    return Trial(kind, background, present, target, heard_s, (clip(0, values),), background=background)


def outcomes_over_kinds():
    """Label a: found from 0.4 up by half, and wrong in the ships alone, ten times in ten half hours of all."""
    scenes = [
        trial(name, kind, [score, 0.0], Target("a", 10, 1.0, 3.0), heard_s=0.0)
        for kind, name in enumerate(("fans", "ships", "wind"), start=1)
        for score in (0.48, 0.88)
    ]
    quiet = [trial(name, kind, [0.0, 0.0]) for kind, name in ((1, "fans"), (3, "wind")) for _ in range(4)]
    ships = [trial("ships", 2, [0.62, 0.0]) for _ in range(2)]
    return go_over([*scenes, *quiet, *ships], ("a", "b"), DetectorSection(), 1.0)


def test_thresholds_are_chosen_for_the_worst_kind():
    outcomes = outcomes_over_kinds()
    # two false alarms in five hours are 0.4 an hour in the mean, and 2 an hour on ships
    assert calibrate(outcomes, 1.0)["a"] < 0.48
    assert calibrate(outcomes, 1.0, worst=2.0)["a"] < 0.48
    assert calibrate(outcomes, 1.0, worst=1.9)["a"] > 0.62
    assert calibrate(outcomes, 0.3, worst=2.0)["a"] > 0.62


def test_a_kind_that_was_left_out_gives_what_no_threshold_was_chosen_for():
    outcomes = outcomes_over_kinds()
    judged = figures(outcomes, operating_point(outcomes, 0.5).judged, (10,))
    assert judged["worst_kind"] == {"kind": "ships", "an_hour": 2.0}
    assert judged["kinds"]["ships"]["false"] == {"a": 2}
    assert judged["false_an_hour"] == 0.4
    chosen = figures(outcomes, pooled(outcomes, {"a": 0.7}), (10,))
    assert chosen["found"] == {"10": 0.5}
    assert chosen["false_an_hour"] == 0.0
    assert chosen["labels"]["a"]["10"] == {"scenes": 6, "found": 0.5, "delay_s": 3.0}


def test_thresholds_are_raised_where_the_strictest_budget_leaves_too_many():
    outcomes = outcomes_over_kinds()
    point = operating_point(outcomes, 0.0)
    assert point.raised > 0.0
    assert point.judged.false.sum() == 0
    assert thresholds_at(outcomes, point)["a"] > 0.62
    lenient = operating_point(outcomes, 0.5)
    assert lenient.raised == 0.0
    assert lenient.price < point.price
    assert raised({"a": 0.5, "b": 0.98}, 0.5) == {"a": 0.65, "b": GRID[-1]}  # 0.62 is no threshold of GRID
    assert raised({"a": 0.5}, 0.0) == {"a": 0.5}


def of_kinds(tops):
    """Outcomes of label a by kind: a sound that scores 0.985, and half an hour without it that scores as given."""
    trials = []
    for kind, top in enumerate(tops, start=1):
        trials.append(trial(f"k{kind}", kind, [0.985], Target("a", 10, 1.0, 3.0), heard_s=0.0))
        trials.append(trial(f"k{kind}", kind, [top]))
    return go_over(trials, ("a",), DetectorSection(), 1.0)


def test_a_label_s_spread_is_that_of_what_each_kind_needs():
    logits = [np.log(on / (1 - on)) for on in (0.01, 0.01, 0.65)]
    assert spread(of_kinds([0.0, 0.0, 0.62]))["a"] == pytest.approx(np.std(logits))
    assert spread(of_kinds([0.0, 0.0, 0.62]), without_fold=3)["a"] == 0.0


def test_a_label_is_given_the_more_room_the_more_the_kinds_differ():
    def on(*tops, price=3.0):
        return expected(of_kinds(tops)).thresholds(price)["a"]

    high = GRID.index(0.92)
    even, uneven = (expected(of_kinds(tops)).rates[high, 0] for tops in ([0.62, 0.62, 0.62], [0.0, 0.0, 0.62]))
    assert 100 * even < uneven
    assert on(0.0, 0.0, 0.0) < on(0.62, 0.62, 0.62) <= on(0.0, 0.0, 0.62)
    assert on(0.62, 0.62, 0.62) <= on(0.62, 0.62, 0.62, price=300.0)


def test_what_is_expected_of_a_kind_that_nobody_heard_is_the_mean_of_those_that_were():
    rates = expected(of_kinds([0.62, 0.0, 0.0, 0.0])).rates[:, 0]
    assert (np.diff(rates) < 0).all()
    assert rates.min() > 0.0
    # a false alarm in each half hour: one that was heard, and three just under the lowest threshold
    assert 0.5 < rates[0] < 2.0
    assert expected(of_kinds([0.62] * 4)).rates[0, 0] == pytest.approx(2.0)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(0, 1, width=32), min_size=3, max_size=5),
    st.floats(0, 1, width=32),
    st.sampled_from(PRICES.tolist()),
)
def test_no_threshold_of_a_kind_is_chosen_on_that_kind(tops, other, price):
    def chosen(outcomes):
        return expected(outcomes, 1).thresholds(price)

    assert chosen(of_kinds(tops)) == chosen(of_kinds([other, *tops[1:]]))


def test_labels_without_scenes_are_shown_by_what_they_report():
    outcomes = outcomes_over_kinds()
    assert unproven_table(replace(outcomes, labels=("a",))) == []
    quiet = unproven_table(outcomes)
    assert quiet[2] == "| b | 0.00 | - | 0.00 | - | 0.00 | - | 0.00 | - |"
    loud = trial("ships", 2, [0.0, 0.6], heard_s=3600.0)
    outcomes = go_over([*outcomes.trials, loud], ("a", "b"), DetectorSection(), 1.0)
    assert unproven_table(outcomes)[2] == "| b | 0.17 | ships: 0.5 | 0.17 | ships: 0.5 | 0.00 | - | 0.00 | - |"


def test_labels_without_scenes_are_let_through_as_far_as_they_are_quiet():
    outcomes = outcomes_over_kinds()
    hours = outcomes.heard_s.sum() / 3600
    assert unproven_thresholds(outcomes) == {"b": LEAST}
    count = int(QUIET_AN_HOUR * (hours + 1)) + 1
    loud = replace(trial("ships", 2, None), scores=tuple(clip(10 * k, [0.0, 0.62 * (k % 2)]) for k in range(2 * count)))
    louder = go_over([*outcomes.trials, replace(loud, heard_s=3600.0)], ("a", "b"), DetectorSection(), 1.0)
    assert unproven_thresholds(louder) == {"b": 0.65}
    always = replace(outcomes, false=outcomes.false + 1000)
    assert unproven_thresholds(always) == {"b": GRID[-1]}
    assert rows_of(outcomes, read_manifest(ROOT / "models" / "home" / FILE_NAME), (5, 10, 20), 1.0)["all kinds"][
        "thresholds"
    ].keys() == {"a", "b"}


def test_scores_are_kept(tmp_path):
    trials = [
        Trial(
            2,
            "fans",
            frozenset({"a"}),
            None,
            3.0,
            (clip(0, [0.1, 0.9]), clip(1, None)),
            budgeted=False,
            background="fans",
        ),
        Trial(1, "scene", frozenset(), Target("a", 5, 6.5, 8.0), 1.0, (), background="ships"),
    ]
    file = tmp_path / "scores" / "x.npz"
    assert score_cache.load(file) is None
    score_cache.save(file, trials)
    loaded = score_cache.load(file)
    assert loaded is not None
    for before, after in zip(trials, loaded, strict=True):
        assert fields_of(before) == fields_of(after)
        for one, other in zip(before.scores, after.scores, strict=True):
            assert (one.offset_s, one.duration_s) == (other.offset_s, other.duration_s)
            np.testing.assert_array_equal(one.values, other.values)


def fields_of(trial):
    return [getattr(trial, name) for name in ("fold", "kind", "present", "target", "heard_s", "budgeted", "background")]


def first_scores(trial):
    return [float("nan") if score.values is None else float(score.values[0]) for score in trial.scores]


BOTH = Manifest(
    "both", "1", ("a",), "0" * 64, WAVEFORM, InputSection("waveform"),
    fuse=(FuseSection("slow", "1" * 64, {"a": "x"}, {"a": 1e-9}), FuseSection("fast", "2" * 64, {"a": "y"})),
)  # fmt: skip


def together(slow, fast, window: Literal["last", "clip"] = "last"):
    members = {"slow": Heard(MemberOutput(("x",), 1e-6), [slow]), "fast": Heard(MemberOutput(("y",), 1e-6), [fast])}
    manifest = replace(BOTH, fuse=(BOTH.fuse[0], replace(BOTH.fuse[1], window=window)))
    (both,) = fused(manifest, members)
    return first_scores(both)


def test_a_score_stands_until_it_is_older_than_its_clip():
    slow = trial("fans", 1, None)
    slow = replace(slow, scores=tuple(clip(second, [0.5]) for second in (0, 1, 2, 3)))  # ends at 4, 5, 6, 7
    fast = replace(slow, scores=(clip(3.1, [0.7], 1.0), clip(3.6, [0.4], 1.0), clip(4.0, None, 1.0)))  # 4.1, 4.6, 5
    assert together(slow, fast) == pytest.approx([0.0, 0.0, 0.0, 0.0], abs=1e-5)
    fast = replace(slow, scores=(clip(3.1, [0.7], 1.0), clip(3.6, [0.4], 1.0)))
    assert together(slow, fast) == pytest.approx([0.0, 0.4, 0.0, 0.0], abs=1e-5)
    # fourth: clips that ended after 3 s
    assert together(slow, fast, window="clip") == pytest.approx([0.0, 0.7, 0.7, 0.7], abs=1e-5)
    quiet = replace(slow, scores=(clip(0, None), *slow.scores[1:]))
    assert together(quiet, fast) == pytest.approx([float("nan"), 0.4, 0.0, 0.0], abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (FuseSection("third", "3" * 64, {"a": "x"}), "both: its member third was not heard"),
        (FuseSection("slow", "1" * 64, {"a": "z"}), "both: 'z' is no label of slow"),
    ],
)
def test_a_member_that_was_not_heard_is_named(section, words):
    with pytest.raises(EdgeaudioError, match=words):
        fused(replace(BOTH, fuse=(section,)), {"slow": Heard(MemberOutput(("x",), 1 / 256), [])})


@pytest.mark.parametrize("period_ms", [50, 30, 85])
def test_kept_scores_are_combined_as_the_agent_combines_them(tmp_path, period_ms):
    rng = np.random.default_rng(1)
    parts = [rng.uniform(-level, level, 700) for level in (0.5, 0.0, 0.0, 0.3, 0.0, 0.9, 0.1)]  # some under the gate
    stretch = Stretch("x", np.concatenate(parts).astype(np.float32), frozenset())

    def heard(model):
        return event_trials.listen(model, stretch, 1, RATE)

    of_one = replace(WAVEFORM, period_ms=50)
    one = member(tmp_path, "one", clip=of_one)
    two = member(tmp_path, "two", "waveform_int8", clip=replace(WAVEFORM, period_ms=period_ms))
    members = {}
    for name in ("one", "two"):
        model = load_model(tmp_path / name)
        assert isinstance(model, Model)
        members[name] = Heard(MemberOutput(model.manifest.reported, model.quantum), [heard(model)])
    variants: list[tuple[Literal["last", "clip"], dict[str, float], dict[str, Any]]] = [
        ("last", {"first": 3.0}, {}),
        ("clip", {"first": 3.0}, {"combine_labels": {"second": "max"}}),
        ("clip", {}, {"combine": "k_of_n", "k": 2}),
    ]
    for window, weights, changes in variants:
        sections = [one, replace(two, window=window, weights=weights)]
        fused_model = load_model(fused_directory(tmp_path, sections, clip=of_one, **changes))
        wanted = heard(fused_model)
        (found,) = fused(fused_model.manifest, members)
        assert any(score.values is None for score in wanted.scores)
        assert len(wanted.scores) == 80
        for ours, theirs in zip(found.scores, wanted.scores, strict=True):
            assert ours.offset_s == theirs.offset_s
            np.testing.assert_array_equal(ours.values, theirs.values)


def test_anybody_s_model_is_judged_over_kinds(sound, capsys, monkeypatch):
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed: the extra `train` brings it")
    clip_ = replace(WAVEFORM, n_samples=120, period_ms=500)
    model = model_directory(sound, name="mine", labels=LABELS, clip=clip_)
    (model / "README.md").write_text("# mine\n")
    arguments = [
        str(model), "--recordings", str(sound / "recordings"), "--backgrounds", str(sound / "kinds"), "--snr", "10",
        "--cache", str(sound / "scores"), "--json", str(sound / "ears.json"), "--card", str(model / "README.md"),
        "--write", str(model),
    ]  # fmt: skip
    assert evaluate_model.main([*arguments, "--picture", str(sound / "ears.webp")]) == 0
    text = capsys.readouterr().out.strip()
    assert text in (model / "README.md").read_text()
    assert "Evaluated is mine over 3 kinds of background" in text
    assert (sound / "ears.webp").read_bytes()[8:12] == b"WEBP"
    written = json.loads((sound / "ears.json").read_text())
    assert set(written["thresholds"]) == {"dog", "rain"}
    assert set(written["manifest"]["kinds"]) == {"fans", "kennel", "ships"}
    assert "dog" not in written["manifest"]["kinds"]["kennel"]["false"]
    assert sum(each["10"]["scenes"] for each in written["manifest"]["labels"].values()) == 6
    assert read_manifest(model / FILE_NAME).thresholds["dog"].on == written["thresholds"]["dog"]
    monkeypatch.setattr(kind_trials, "listen", None)
    assert evaluate_model.main(arguments[:-4]) == 0, "scores are read from the cache, whatever the thresholds"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--json", "x.json"], "--json, --picture and --cache need --backgrounds"),
        (["--backgrounds", "kinds", "--json", "absent/x.json"], "absent/x.json: cannot be written; name a file in"),
        (["--backgrounds", "recordings/dog"], "needs two sub-folders at least"),
        (["--backgrounds", "empty"], "no recordings there; remove the folder, or fill it"),
        (["--backgrounds", "silent"], "is silent; remove the folder, or fill it"),
    ],
)
def test_refusals(sound, monkeypatch, capsys, arguments, words):
    model = model_directory(sound, name="mine", labels=LABELS, clip=replace(WAVEFORM, n_samples=120))
    for folder in ("empty/a", "empty/b", "silent/a", "silent/b"):
        (sound / folder).mkdir(parents=True)
    for folder in ("silent/a", "silent/b"):
        write_wav(sound / folder / "1.wav", np.zeros(RATE, dtype=np.float32), RATE)
    monkeypatch.chdir(sound)
    assert evaluate_model.main([str(model), "--recordings", "recordings", *arguments]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("evaluate_model: ")
    assert words in error


def test_another_model_s_labels_are_the_highest_of_those_that_they_stand_for():
    given = replace(trial("fans", 1, None), scores=(clip(0, [0.1, 0.7, 0.3]), clip(1, None)))
    (found,) = renamed([given], ((0, 2), (1,)))
    np.testing.assert_array_equal(found.scores[0].values, np.array([0.3, 0.7], np.float32))
    assert found.scores[1].values is None


@pytest.mark.parametrize("kind", MAKERS)
def test_a_background_is_made_by_its_seed(kind):
    first, again, other = (MAKERS[kind](3.0, 8_000, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.float32
    assert first.shape == (24_000,)
    assert np.isfinite(first).all()
    assert rms(first) > 0.0
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_is_judged_was_not_trained_on(tmp_path):
    packages = {}
    for package, names in {
        "asterisk-moh-opsound-g722": ["a.g722", "b.g722"],
        "sonic-pi-samples": ["loop_a.flac", "loop_b.flac", "elec_c.flac"],
        "gcompris-qt-data": ["animals/hen.ogg", "animals/owl.ogg", "animals/dog.ogg", "music/piano.ogg"],
        "tuxpaint-stamps-default": ["animals/birds/rooster.ogg", "animals/birds/duck.ogg", "animals/owl_desc.ogg"],
        **{f"asterisk-core-sounds-{name}-g722": ["hello.g722"] for name in ("en", "es", "fr", "it", "ru")},
    }.items():
        packages[package] = tmp_path / package
        for name in names:
            (tmp_path / package / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / package / name).touch()
    trained, judged = (sources(tmp_path, packages, side) for side in ("train", "held_out"))
    of_trained = {path for paths in trained.values() for path in paths}
    of_judged = {path for paths in judged.values() for path in paths}
    assert not of_trained & of_judged
    found = {path.name for path in of_trained | of_judged}
    assert {"hen.ogg", "owl.ogg", "duck.ogg", "hello.g722", "loop_a.flac"} <= found
    assert not found & {"dog.ogg", "rooster.ogg", "piano.ogg", "owl_desc.ogg", "elec_c.flac"}
    assert set(KINDS) >= set(MAKERS)


def test_backgrounds_to_train_on_are_others_than_those_to_judge_on(espeak, sound, tmp_path, monkeypatch):
    monkeypatch.setattr(house_backgrounds, "KINDS", ("wind", "speech"))
    monkeypatch.setattr(house_backgrounds, "FILE_S", 4.0)
    monkeypatch.setattr(house_backgrounds, "sources", lambda *_: {
        f"speech_{language}": sorted((sound / "kinds" / "ships").glob("*.wav")) for language in ("en", "es")
    })  # fmt: skip
    (tmp_path / "data" / "microphones").mkdir(parents=True)
    for name in "ab":
        write_wav(tmp_path / "data" / "microphones" / f"{name}.wav", np.ones(8, np.float32), 32_000)
    made = {}
    for side in ("train", "held_out"):
        write_backgrounds(tmp_path / "data", {}, tmp_path / side, 1, 5, side=side)
        made[side] = {file.name: file.read_bytes() for file in (tmp_path / side / "wind").glob("*.wav")}
    assert made["train"].keys() == made["held_out"].keys() == {"000.wav"}
    assert made["train"] != made["held_out"]
    with pytest.raises(EdgeaudioError, match="was made as train 5, not held_out 5"):
        write_backgrounds(tmp_path / "data", {}, tmp_path / "train", 1, 5)


def test_a_stretch_is_heard_by_the_fold_s_model_and_a_kind_alone_by_each_in_turn():
    class Named:
        def __init__(self, fold):
            self.fold = fold
            self.manifest = read_manifest(ROOT / "models" / "home" / FILE_NAME)

    heard = []

    class Scenes:
        sample_rate = RATE
        key = "x"
        numbers = (3,)

        def placed(self, number):
            stretch = Stretch("x", np.zeros(1, np.float32), frozenset())
            for fold in (2, None, None, None, 1):
                yield kind_trials.Placed(stretch, fold)

    def listen(model, stretch, kind, rate):
        heard.append((model.fold, kind))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind_trials, "listen", listen)
        kind_trials.hear({1: Named(1), 2: Named(2)}, Scenes(), None)
    assert heard == [(2, 3), (1, 3), (2, 3), (1, 3), (1, 3)]
