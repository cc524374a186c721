"""Where state and added models are, for agents, services and commands alike."""

import os
from pathlib import Path

import pytest

from edgeaudio.settings import load_settings
from edgeaudio.state_dir import models_dir

STATE = {"STATE_DIRECTORY": "/var/lib/private/edgeaudio:/other"}


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/var/lib/edgeaudio/models"),
        (STATE, "/var/lib/private/edgeaudio/models"),
        ({**STATE, "EDGEAUDIO_STATE_DIR": "/data"}, "/data/models"),
        ({**STATE, "edgeaudio_state_dir": "/data"}, "/data/models"),
        ({"EDGEAUDIO_STATE_DIR": "/data", "EDGEAUDIO_MODELS_DIR": "/models"}, "/models"),
        ({"EDGEAUDIO_STATE_DIR": "", "EDGEAUDIO_MODELS_DIR": ""}, "/var/lib/edgeaudio/models"),
    ],
)
def test_models_are_beside_the_state(monkeypatch, environment, folder):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in list(os.environ):
        if name.startswith("EDGEAUDIO_") or name == "STATE_DIRECTORY":
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert models_dir() == Path(folder)
    # the variable is no setting, and the state is where the agent has it
    assert load_settings(None).state_dir == (models_dir().parent if folder != "/models" else Path("/data"))


def test_a_user_has_models_of_their_own(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in ("STATE_DIRECTORY", "EDGEAUDIO_STATE_DIR", "EDGEAUDIO_MODELS_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert models_dir() == Path("/home/me/state/edgeaudio/models")
