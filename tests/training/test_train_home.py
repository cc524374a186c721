"""The recipe of models/home refuses what it cannot work with, before it works for an hour."""

import sys

from models.home.train import train_home


def test_a_missing_collection_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("tools.synth.espeak.PROGRAM", sys.executable)  # it comes to no speech
    (tmp_path / "data").mkdir()
    arguments = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work")]
    assert train_home.main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("train_home: ")
    assert "esc10" in error
    assert not (tmp_path / "out").exists()
