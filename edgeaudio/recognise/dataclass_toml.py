"""Between TOML tables and frozen dataclasses, every value checked against its annotation.

Owns: the walk over fields, types and defaults, in both directions.
Does not know: what the fields mean.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from math import isfinite
from typing import Any, Literal


class TableError(ValueError):
    """A value that does not fit: its dotted key, and why."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}")
        self.key = key
        self.problem = problem


def build(cls: Any, table: Mapping[str, Any], prefix: str = "") -> Any:
    """A dataclass of type `cls` from a table. Raises TableError at the first value that does not fit."""
    hints = typing.get_type_hints(cls)
    for key in table:
        if key not in hints:
            raise TableError(prefix + key, "unknown key")
    values = {}
    for item in dataclasses.fields(cls):
        if item.name in table:
            values[item.name] = _value(hints[item.name], table[item.name], prefix + item.name)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise TableError(prefix + item.name, "is missing")
    try:
        return cls(**values)
    except ValueError as error:
        raise TableError(prefix.rstrip("."), str(error)) from None


def _value(hint: Any, value: Any, key: str) -> Any:
    """One value of the annotated type, or TableError."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _union(arguments, value, key)
    if origin is Literal:
        if not any(value == choice and type(value) is type(choice) for choice in arguments):
            choices = ", ".join(json.dumps(choice) for choice in arguments)
            raise TableError(key, f"{_shown(value)} is none of {choices}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise TableError(key, f"{_shown(value)} is not a list")
        return tuple(_value(arguments[0], item, f"{key}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(hint) or origin is not None:
        if not isinstance(value, dict):
            raise TableError(key, f"{_shown(value)} is not a table")
        if origin is None:
            return build(hint, value, f"{key}.")
        return {name: _value(arguments[1], item, f"{key}.{name}") for name, item in value.items()}
    return _scalar(hint, value, key)


def _union(arguments: tuple[Any, ...], value: Any, key: str) -> Any:
    choices = [choice for choice in arguments if choice is not type(None)]
    for choice in choices[1:]:
        try:
            return _value(choice, value, key)
        except TableError:
            continue
    return _value(choices[0], value, key)


def _scalar(hint: Any, value: Any, key: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            value = float(value)
        except OverflowError:
            raise TableError(key, "is too large a number") from None
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
        raise TableError(key, f"{_shown(value)} is not {names[hint]}")
    if isinstance(value, float) and not isfinite(value):
        raise TableError(key, f"{value} is not a finite number")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def table_of(instance: Any) -> dict[str, Any]:
    """A dataclass as nested dictionaries, without what equals its default."""
    table: dict[str, Any] = {}
    for item in dataclasses.fields(instance):
        value = getattr(instance, item.name)
        default = item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
        if value == default:
            continue
        if dataclasses.is_dataclass(value):
            value = table_of(value)
        elif isinstance(value, tuple):
            value = [table_of(inner) if dataclasses.is_dataclass(inner) else inner for inner in value]
        elif isinstance(value, Mapping):
            value = {key: table_of(inner) if dataclasses.is_dataclass(inner) else inner for key, inner in value.items()}
        table[item.name] = value
    return table
