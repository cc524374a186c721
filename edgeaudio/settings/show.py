"""Shows settings to people: the effective ones as TOML with their origins, and the JSON Schema.

Owns: how settings are printed; secrets are masked here and cannot be had otherwise.
Does not know: how settings are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources

from pydantic import BaseModel, SecretStr

from edgeaudio.settings.layers import Key, Layer
from edgeaudio.settings.load import origin_of
from edgeaudio.settings.schema import Settings
from edgeaudio.toml_writer import dotted, quoted
from edgeaudio.urls import HIDDEN


def effective_toml(settings: Settings, layers: Iterable[Layer]) -> str:
    """Every setting that has a value, as TOML; a comment names the origin of each that is no default."""
    return "\n".join(_table(settings, (), list(layers))).lstrip("\n") + "\n"


def example_toml() -> str:
    """A settings file with every setting explained; as it is, it holds the defaults."""
    return resources.files("edgeaudio.settings").joinpath("example.toml").read_text(encoding="utf-8")


def json_schema() -> str:
    """The JSON Schema of the settings file, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
    # computed on this machine, so no fact about the file
    for name in ("device", "state_dir"):
        schema["properties"][name].pop("default", None)
    return json.dumps(schema, indent=2)


def _table(table: BaseModel | Mapping[str, object], key: Key, layers: list[Layer]) -> Iterator[str]:
    entries = table.items() if isinstance(table, Mapping) else table
    leaves, tables = [], []
    for name, value in entries:
        if isinstance(value, (BaseModel, Mapping)):
            tables.append((name, value))
        elif value is not None:
            leaves.append((name, value))
    if key and (leaves or isinstance(table, BaseModel)):
        yield f"\n[{dotted(key)}]"
    for name, value in leaves:
        shown = HIDDEN if name == "username" and not _has_password(table) else value
        origin = origin_of((*key, name), layers)
        yield f"{dotted((name,))} = {_value(shown)}" + (f"  # {origin}" if origin else "")
    for name, value in tables:
        yield from _table(value, (*key, name), layers)


def _has_password(table: BaseModel | Mapping[str, object]) -> bool:
    """False where the user name may be a token that stands for both."""
    return any(getattr(table, name, None) is not None for name in ("password", "password_file"))


def _value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else str(value)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    return quoted(HIDDEN if isinstance(value, SecretStr) else str(value))
