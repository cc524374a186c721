"""Prints settings: those in force as TOML with their origins, the example, the JSON Schema.

Owns: the redaction of secrets in all that is printed. Does not know: how settings are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources

from pydantic import BaseModel, SecretStr

from edgeaudio.settings.load import origin_of
from edgeaudio.settings.schema import Settings
from edgeaudio.settings.sources import Key, Layer
from edgeaudio.toml_writer import dumps
from edgeaudio.urls import HIDDEN


def effective_toml(settings: Settings, layers: Iterable[Layer]) -> str:
    """Return every setting that has a value, as TOML; a comment names the origin of each that is no default."""
    found = list(layers)

    def origin(key: Key) -> str:
        return origin_of(key, found) or ""

    return dumps(_shown(settings), comment=origin)


def example_toml() -> str:
    """Return a settings file with every setting explained; as it is, it holds the defaults."""
    return resources.files("edgeaudio.settings").joinpath("example.toml").read_text(encoding="utf-8")


def json_schema() -> str:
    """Return the JSON Schema of the settings file, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    # computed on this machine, so no fact about the file
    for name in ("device", "state_dir"):
        schema["properties"][name].pop("default", None)
    return json.dumps(schema, indent=2)


def _shown(table: BaseModel | Mapping[str, object]) -> dict[str, object]:
    entries = table.items() if isinstance(table, Mapping) else table
    shown = {name: _value(value) for name, value in entries if value is not None}
    if "username" in shown and not _has_password(table):
        shown["username"] = HIDDEN
    return shown


def _has_password(table: BaseModel | Mapping[str, object]) -> bool:
    """False where the user name may be a token that stands for both."""
    return any(getattr(table, name, None) is not None for name in ("password", "password_file"))


def _value(value: object) -> object:
    if isinstance(value, (BaseModel, Mapping)):
        return _shown(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # as people write it
    if isinstance(value, (bool, int, float)):
        return value
    return HIDDEN if isinstance(value, SecretStr) else str(value)
