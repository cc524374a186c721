"""Bundled models, by name or path."""

from pathlib import Path

import pytest

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import added_models, bundled_models, find_model


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Models of an installed package, and of a checkout."""
    found = (tmp_path / "installed", tmp_path / "checkout")
    for place, names in zip(found, (["alarms"], ["alarms", "home", "empty"]), strict=True):
        for name in names:
            (place / name).mkdir(parents=True)
            if name != "empty":
                (place / name / "model.toml").touch()
    monkeypatch.setattr("edgeaudio.recognise.bundled_models._PLACES", found)
    monkeypatch.setenv("EDGEAUDIO_MODELS_DIR", str(tmp_path / "added"))
    return found


def test_an_added_model_is_found_before_a_bundled_one(places, tmp_path):
    for name in ("yamnet", "home", ".birds.new", "Not a name"):
        (tmp_path / "added" / name).mkdir(parents=True)
        (tmp_path / "added" / name / "model.toml").touch()
    assert added_models() == {name: tmp_path / "added" / name for name in ("home", "yamnet")}
    assert find_model("yamnet") == tmp_path / "added" / "yamnet"
    assert find_model("home") == tmp_path / "added" / "home"
    assert find_model("alarms") == places[0] / "alarms"
    with pytest.raises(EdgeaudioError, match="models here \\(alarms, home, yamnet\\)"):
        find_model(".birds.new")


def test_installed_models_come_before_those_of_a_checkout(places):
    installed, checkout = places
    assert bundled_models() == {"alarms": installed / "alarms", "home": checkout / "home"}


def test_a_model_is_found_by_name_or_by_path(places, tmp_path, monkeypatch):
    assert find_model("home") == places[1] / "home"
    assert find_model(Path("some/where")) == Path("some/where")
    monkeypatch.chdir(places[1])
    assert find_model("empty") == Path("empty")


def test_a_folder_without_a_model_hides_no_bundled_model(places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()  # as in /, where services run
    assert find_model("home") == places[1] / "home"
    (tmp_path / "home" / "model.toml").touch()
    assert find_model("home") == Path("home")


def test_a_name_that_is_neither_a_directory_nor_bundled_is_refused(places):
    with pytest.raises(EdgeaudioError) as caught:
        find_model("siren")
    assert str(caught.value) == (
        "model 'siren' is neither a directory nor one of the models here (alarms, home); "
        "`edgeaudio model add --list` shows which can be added"
    )


def test_without_bundled_models_the_error_says_none(monkeypatch, tmp_path):
    monkeypatch.setattr("edgeaudio.recognise.bundled_models._PLACES", (tmp_path,))
    monkeypatch.setenv("EDGEAUDIO_MODELS_DIR", str(tmp_path / "none"))
    with pytest.raises(EdgeaudioError, match=r"nor one of the models here \(none\);"):
        find_model("siren")


@pytest.mark.parametrize("address", ["http://me:hunter2@web/x", Path("http://me:hunter2@web/x"), "me:hunter2@web/x"])
def test_an_address_is_refused_and_not_repeated(places, address):
    with pytest.raises(EdgeaudioError) as caught:
        find_model(address)
    assert str(caught.value) == "a model is a directory, or the name of a bundled or an added one, and no address"
    assert find_model("models/2026-11-28T10:00/x") == Path("models/2026-11-28T10:00/x")
