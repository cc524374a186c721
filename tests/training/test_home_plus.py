"""home-plus in the catalogue is what its recipe writes, of the home that is bundled."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME, DetectorSection
from edgeaudio.recognise.manifest_file import read_manifest
from edgeaudio.recognise.model import Model
from models.home.train import make_home_plus
from models.home.train.evaluate_ears import CATALOGUE, CLOSEST, as_shipped, columns_of, of_fused
from models.home.train.home_plus_labels import LABELS
from models.home.train.make_home_plus import CARD, CHOSEN, NAME, make

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
