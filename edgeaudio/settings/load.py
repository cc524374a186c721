"""Loads the settings from all sources, and describes each fault in one line.

Owns: the sentence for a fault: who set it, which setting, what is wrong, what to do.
Does not know: single settings (schema.py), where they come from (sources.py).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import InitSettingsSource

from edgeaudio.schema_versions import SETTINGS, SchemaError, upgraded
from edgeaudio.settings.places import config_path
from edgeaudio.settings.reading import SettingsError
from edgeaudio.settings.schema import FAULT, Settings, sources
from edgeaudio.settings.sources import Key, Layer, Source, TableSource, all_sources
from edgeaudio.toml_writer import dotted
from edgeaudio.urls import HIDDEN

_SECRET = {
    "api_key", "api_key_file", "metrics_token", "metrics_token_file", "password", "password_file", "recogniser", "url",
    "username",
}  # fmt: skip
_HARMLESS = re.compile(r"[a-z]{1,8}|-?[0-9]{1,8}(\.[0-9]{1,8})?")  # anything else may have been meant for a password
_MOST_SHOWN = 10**30
_SENTENCES = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "decimal_parsing": "must be a number",
    "dict_type": "must be a table",
    "finite_number": "must be a number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a smaller number",
    "int_type": "must be a whole number",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "model_type": "must be a table",
    "path_type": "must be a path, in quotes",
    "secret_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must not be empty",
    "string_type": "must be text, in quotes",
    "string_unicode": "must be UTF-8 text",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, in brackets",
}


def load_settings(path: Path | None = None, options: Iterable[str] = ()) -> Settings:
    """Return the settings of this device. Raises SettingsError with a line for each fault.

    `path` names the TOML file (else see config_path), `options` are the command line's KEY=VALUE pairs.
    """
    return load_with_layers(path, options)[0]


def load_with_layers(path: Path | None, options: Iterable[str] = ()) -> tuple[Settings, list[Layer]]:
    """Return the settings, and what each source set, the one that wins first. Raises SettingsError."""
    return _settings(all_sources(Settings, config_path(path), options))


def reload_settings(path: Path | None, options: Iterable[str], before: Iterable[Layer]) -> Settings:
    """Return the settings as they are now, for an agent that began with `before`, as load_with_layers returned them.

    Raises SettingsError, also for a file that was emptied: nobody means by that to hear nothing any more, and what the
    broker retains of all sources would be cleared.
    """
    settings, layers = load_with_layers(path, options)
    held = {layer.name for layer in before if layer.table}
    for layer in layers:
        if not layer.table and layer.name in held and layer.name == str(config_path(path)):
            raise SettingsError(f"{layer.name}: sets nothing any more; to hear nothing, leave an empty [sources] in it")
    return settings


def settings_of(table: dict[str, Any], origin: str) -> Settings:
    """Return the settings in a table that `origin` names in messages. Raises SettingsError."""
    return _settings([TableSource(Settings, table, origin)])[0]


def _settings(found: Sequence[Source]) -> tuple[Settings, list[Layer]]:
    layers = [_layer(source) for source in found]
    token = sources.set(tuple(InitSettingsSource(Settings, dict(layer.table)) for layer in layers))
    try:
        return Settings(), layers
    except ValidationError as error:
        # two errors can tell of one fault: a wrong name is found again where the name is used
        lines = dict.fromkeys(_line(details, layers) for details in error.errors(include_url=False))
    finally:
        sources.reset(token)
    # outside the handler: pydantic's error holds the values
    raise SettingsError(*lines)


def _layer(source: Source) -> Layer:
    try:
        return Layer(source.name, upgraded(source(), SETTINGS, source.name), source.origin)
    except SchemaError as error:
        raise SettingsError(f"{source.name}: {error}") from None


def origin_of(key: Key, found: Iterable[Layer]) -> str | None:
    """Return who set a value; None where it is the default."""
    return next((layer.origin(key) for layer in found if layer.depth(key) == len(key)), None)


def _line(details: ErrorDetails, found: list[Layer]) -> str:
    # "[key]" is pydantic's mark for a complaint about a table's name; numbers are places in a list
    at = [part for part in (*details["loc"], *details.get("ctx", {}).get("at", ())) if part != "[key]"]
    # a user may write an address, with its login, as the name of a table
    key = tuple(HIDDEN if "@" in str(part) else str(part) for part in at)
    named = tuple(part for part in at if isinstance(part, str))
    speaker = max(found, key=lambda layer: layer.depth(named), default=None)
    depth = speaker.depth(named) if speaker else 0
    where = f"{speaker.origin(named[:depth])}: " if speaker and depth else ""
    return f"{where}{dotted(key)}: {_problem(details, named)}" if key else f"{where}{_problem(details, named)}"


def _problem(details: ErrorDetails, named: Key) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == FAULT:
        return details["msg"]
    if kind == "extra_forbidden":
        known = list(_fields(named[:-1]))
        near = difflib.get_close_matches(named[-1], known, n=1, cutoff=0.5)
        return "unknown setting; " + (f'did you mean "{near[0]}"?' if near else f"there is {', '.join(sorted(known))}")
    if kind == "too_long" and details["loc"][-1] in _SECRET:  # of a secret, pydantic does not know that it is text
        kind = "string_too_long"
    if kind == "too_short" and details["loc"][-1] in _SECRET:
        kind = "secret_too_short"
    sentence = _SENTENCES.get(kind)
    if sentence is None:
        return details["msg"]
    whole = {
        name: int(value) if isinstance(value, float) and value.is_integer() else value
        for name, value in context.items()
    }
    return sentence.format(**whole) + _shown(details)


def _shown(details: ErrorDetails) -> str:
    """Return the faulty value if it is a number or a short word, and not part of a login."""
    name, value = details["loc"][-1], details["input"]
    if details["type"] in {"missing", "model_type", "dict_type"} or name in _SECRET:
        return ""
    if isinstance(value, int) and abs(value) > _MOST_SHOWN:
        return ""  # Python refuses to write very long numbers
    shown = isinstance(value, (bool, int, float)) or (isinstance(value, str) and _HARMLESS.fullmatch(value))
    return f", is {json.dumps(value)}" if shown else ""


def _fields(key: Key) -> Iterable[str]:
    """Return the names of the settings in the table with that key."""
    at: Any = Settings
    for part in key:
        if isinstance(at, type) and issubclass(at, BaseModel):
            at = at.model_fields[part].annotation
        elif get_origin(at) is dict:
            at = get_args(at)[1]
    return at.model_fields if isinstance(at, type) and issubclass(at, BaseModel) else ()
