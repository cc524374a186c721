"""Loads settings as a process with a certain environment does."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from edgeaudio.settings import Settings
from edgeaudio.settings.load import load_with_layers
from edgeaudio.settings.sources import Layer

NOTHING: Mapping[str, str] = {}


@contextmanager
def settings_variables(variables: Mapping[str, str]) -> Iterator[None]:
    """Have these variables in the environment, and no other that says anything of settings."""
    others = {name: value for name, value in os.environ.items() if not is_setting(name)}
    with mock.patch.dict(os.environ, {**others, **variables}, clear=True):
        yield


def is_setting(name: str) -> bool:
    return name.upper().startswith("EDGEAUDIO_") or name == "CREDENTIALS_DIRECTORY"


def load(path: Path | None = None, options: Iterable[str] = (), variables: Mapping[str, str] = NOTHING) -> Settings:
    return load_layers(path, options, variables)[0]


def load_layers(
    path: Path | None, options: Iterable[str] = (), variables: Mapping[str, str] = NOTHING
) -> tuple[Settings, list[Layer]]:
    with settings_variables(variables):
        return load_with_layers(path, options)
