"""home-plus and YAMNet in the catalogue are what their recipes write, of the home that is bundled."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME, DetectorSection
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.model import Model
from edgeaudio.types import Scores
from models.home.train import calibrate_yamnet, make_home_plus
from models.home.train.evaluate_ears import (
    ANNOUNCED,
    CATALOGUE,
    CLOSEST,
    announced_alone,
    as_shipped,
    columns_of,
    of_announced,
    of_fused,
)
from models.home.train.home_plus_labels import LABELS
from models.home.train.make_home_plus import CARD, CHOSEN, NAME, make
from tools.training.event_trials import START, Target, Trial, threshold

ROOT = Path(__file__).parents[2]
HOME = read_manifest(ROOT / "models" / "home" / FILE_NAME)
YAMNET = read_manifest(CATALOGUE / "yamnet" / FILE_NAME)
HOME_PLUS = read_manifest(CATALOGUE / NAME / FILE_NAME)


@pytest.fixture
def chosen(tmp_path):
    copy = tmp_path / CHOSEN.name
    copy.write_text(CHOSEN.read_text())
    return copy


def test_what_is_committed_is_what_the_recipe_writes(tmp_path, chosen):
    make(None, tmp_path / "out", chosen)
    for name in (FILE_NAME, CARD):
        again = "python -m models.home.train.make_home_plus"
        assert (tmp_path / "out" / name).read_text() == (CATALOGUE / NAME / name).read_text(), f"{again} writes another"
    assert chosen.read_text() == CHOSEN.read_text()


def test_its_members_are_the_bundled_home_and_the_yamnet_of_the_catalogue():
    """A new models/home needs a new home-plus, with thresholds of its own."""
    pins = {section.model: section.sha256 for section in HOME_PLUS.fuse}
    assert pins == {"home": HOME.sha256, "yamnet": YAMNET.sha256}
    for section, member in zip(HOME_PLUS.fuse, (HOME, YAMNET), strict=True):
        assert set(section.labels.values()) <= set(member.reported)


def test_it_has_each_label_of_home_by_its_name_and_yamnet_has_no_say_in_what_it_is_deaf_to():
    by_home, by_yamnet = (section.labels for section in HOME_PLUS.fuse)
    assert by_home == {label: label for label in HOME.labels} == {label: label for label in by_home}
    assert set(HOME.labels) - set(by_yamnet) == {"co_alarm", "siren", "smoke_alarm"}
    assert {"fire_alarm", "emergency_siren"} <= set(by_yamnet) - set(by_home)
    assert HOME_PLUS.warnings >= HOME.warnings == {"smoke_alarm", "co_alarm"}
    assert set(HOME_PLUS.announce) == set(HOME_PLUS.labels)
    assert set(HOME_PLUS.thresholds) == set(LABELS)


def test_yamnet_is_judged_by_what_it_says_in_home_plus():
    (_, fused) = HOME_PLUS.fuse
    named = {label: YAMNET.reported[column] for label, (column,) in zip(LABELS, columns_of(YAMNET), strict=True)}
    assert named == {**fused.labels, **CLOSEST}


def test_a_fold_s_model_is_judged_with_the_detector_and_the_thresholds_that_ship():
    bare = replace(HOME, thresholds={}, detector=DetectorSection())
    assert as_shipped(bare) == HOME
    other = replace(bare, labels=("rain",))
    assert as_shipped(other) == other


def test_it_is_judged_on_the_clips_of_home_and_of_no_other_model():
    members = cast("dict[str, Model]", {"home": SimpleNamespace(manifest=HOME, quantum=1 / 256)})
    with pytest.raises(EdgeaudioError, match="home-plus: its member yamnet was not heard"):
        of_fused(HOME_PLUS, {"home": []}, members)
    with pytest.raises(EdgeaudioError, match="home: its first member is none of home"):
        of_fused(HOME, {"home": []}, members)
    slower = replace(HOME_PLUS, clip=replace(HOME.clip, period_ms=1000))
    with pytest.raises(EdgeaudioError, match=r"home-plus: its \[clip\] is not that of home, whose clips are scored"):
        of_fused(slower, {"home": []}, members)


def test_thresholds_and_tables_are_those_of_an_evaluation(tmp_path, chosen):
    found = {"scenes": 3, "found": 0.5, "delay_s": 1.0}
    row = {
        "found": dict.fromkeys(("5", "10", "20"), 0.5), "false_an_hour": 1.0, "hours": 2.0,
        "worst_kind": {"kind": "wind", "an_hour": 3.0}, "poor_labels": [], "impulsive_delay_s": None,
        "labels": {"rain": dict.fromkeys(("5", "10", "20"), found)},
        "kinds": {"wind": {"hours": 2.0, "an_hour": 1.0, "false": {"rain": 2}}},
    }  # fmt: skip
    point = row | {"price": 1.0, "raised": 0.0, "thresholds": {"rain": 0.75}}
    of_all = row | {"thresholds": {"rain": 0.25}}
    rows = {"manifest": row, "other kinds": row, "operating point": point, "all kinds": of_all}
    ears = tmp_path / "ears.json"
    ears.write_text(json.dumps({"seed": 1, "models": {"home": rows, NAME: rows}}))
    make(ears, tmp_path / "out", chosen)
    manifest = read_manifest(tmp_path / "out" / FILE_NAME)
    assert (manifest.threshold("rain").on, manifest.threshold("rain").off) == (0.25, 0.15)
    assert manifest.threshold("snore") == HOME_PLUS.threshold("snore")
    card = (tmp_path / "out" / CARD).read_text()
    assert "| home-plus, operating point | 50.0% |" in card
    assert "not calibrated" not in card
    by_hand = tmp_path / "mine.toml"
    by_hand.write_text("snore = 0.7\n")
    make(by_hand, tmp_path / "out", chosen)
    manifest = read_manifest(tmp_path / "out" / FILE_NAME)
    assert (manifest.threshold("snore").on, manifest.threshold("rain").on) == (0.7, 0.25)
    assert (tmp_path / "out" / CARD).read_text() == card


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.json", "{", "x.json: is neither JSON nor TOML: "),
        ("x.toml", "a", "x.toml: is neither JSON nor TOML: "),
        ("x.json", "[]", "x.json: is no table of thresholds"),
        ("x.json", '{"models": {"home": {}}}', "x.json: has no home-plus; give --yamnet to evaluate_ears"),
        ("x.toml", "tiger = 0.5", "x.toml: tiger is no label of home-plus"),
        ("x.toml", "rain = 7", "x.toml: rain: 7 is no threshold from 0 to 1"),
        ("x.toml", "rain = true", "x.toml: rain: True is no threshold from 0 to 1"),
    ],
)
def test_refusals(tmp_path, monkeypatch, capsys, name, text, words):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text(text)
    before = CHOSEN.read_text()
    assert make_home_plus.main(["--evaluation", name]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"make_home_plus: {words}")
    assert error.count("\n") == 1
    assert CHOSEN.read_text() == before


def test_each_group_that_yamnet_announces_has_a_measured_threshold_and_the_recipe_repeats_the_manifest(tmp_path):
    assert set(YAMNET.thresholds) == set(YAMNET.announce)
    found = {label: YAMNET.threshold(label).on for label in YAMNET.announce}
    assert all(YAMNET.threshold(label) == threshold(on) for label, on in found.items())
    file, ears = tmp_path / FILE_NAME, tmp_path / "ears.json"
    ears.write_text(json.dumps({ANNOUNCED: {"all kinds": {"thresholds": found}}}))
    manifest_text = (CATALOGUE / "yamnet" / FILE_NAME).read_text()
    file.write_text(manifest_text)
    calibrate_yamnet.calibrate(ears, file)
    assert file.read_text() == manifest_text
    ears.write_text(json.dumps({ANNOUNCED: {"all kinds": {"thresholds": found | {"snore": 0.7}}}}))
    calibrate_yamnet.calibrate(ears, file)
    assert read_manifest(file) == replace(YAMNET, thresholds={**YAMNET.thresholds, "snore": threshold(0.7)})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON of evaluate_ears with --yamnet"),
        ('{"models": {}}', "is no JSON of evaluate_ears with --yamnet"),
        (json.dumps({ANNOUNCED: {"all kinds": {"thresholds": {"snore": 0.7}}}}), "has other labels than .* announces"),
    ],
)
def test_thresholds_of_yamnet_are_of_its_own_evaluation(tmp_path, text, words):
    ears, file = tmp_path / "ears.json", tmp_path / FILE_NAME
    ears.write_text(text)
    file.write_text((CATALOGUE / "yamnet" / FILE_NAME).read_text())
    with pytest.raises(EdgeaudioError, match=f"ears.json: {words}"):
        calibrate_yamnet.calibrate(ears, file)


def test_yamnet_is_judged_by_its_own_names_for_what_is_in_a_scene():
    announced = announced_alone(YAMNET)
    values = np.linspace(0, 1, len(YAMNET.reported), dtype=np.float32)
    scores = [Scores("trial", "yamnet", START, 0.0, 0.975, None, values)]
    for label, theirs in (("speech", "talking"), ("co_alarm", "smoke_alarm"), ("baby_cry", "baby_cry")):
        heard = Trial(1, "scene", frozenset({label, "running_water"}), Target(label, 10, 1.0, 2.0), 0.5, scores)
        (trial,) = of_announced(announced, YAMNET.reported, [heard])
        assert trial.target == Target(theirs, 10, 1.0, 2.0)
        assert trial.present == {theirs, "running_water"}
        expected = [values[YAMNET.reported.index(name)] for name in YAMNET.announce]
        np.testing.assert_array_equal(trial.scores[0].values, expected)
    negative = Trial(1, "wind", frozenset(), None, 0.5, scores)
    assert of_announced(announced, YAMNET.reported, [negative])[0].target is None
