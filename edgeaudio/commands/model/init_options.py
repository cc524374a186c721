"""The options of `model init`, and the manifest's table that they begin.

Owns: `--set KEY=VALUE`, and the list of guesses. Does not know: how anything is guessed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The user's options; empty ones were not given."""

    name: str = ""
    kind: str = ""
    preset: str = ""
    sample_rate: int = 0
    clip_s: float = 0.0
    labels: Path | None = None
    frontend: Path | None = None
    settings: Sequence[str] = ()  # "features.n_fft=512"


@dataclass(slots=True)
class Work:
    """The manifest's table while it is filled in, and the guesses in it."""

    file: Path
    options: InitOptions
    table: dict[str, Any]
    guesses: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.table.setdefault(name, {})
        return found

    def guess(self, section: str, key: str, value: Any, why: str) -> Any:  # noqa: ANN401 (values of a manifest)
        """Return the value that a key has; if it has none, fill in this one and note the guess."""
        inner = self.section(section)
        if key not in inner:
            inner[key] = value
            self.guesses.append(f"{section}.{key} = {_shown(value)}: {why}")
        return inner[key]


def settings_table(settings: Sequence[str]) -> dict[str, Any]:
    """Return `key=value` pairs as a nested table; a value that is not TOML is text. Raises EdgeaudioError."""
    table: dict[str, Any] = {}
    for setting in settings:
        if not _is_text(setting):
            raise EdgeaudioError(f"--set {setting}: is not UTF-8")
        key, equals, text = setting.partition("=")
        if not equals or not re.fullmatch(r"[a-z0-9_]+(\.[^.]+)*", key):
            raise EdgeaudioError(f"--set {setting}: is not KEY=VALUE, as in --set features.n_fft=512")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (ValueError, RecursionError):
            value = text
        *path, last = key.split(".")
        inner = table
        for name in path:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                raise EdgeaudioError(f"--set {setting}: {name} has a value already")
        inner[last] = value
    return table


def _is_text(argument: str) -> bool:
    """False for an argument that is not UTF-8: Python has its bytes as lone surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


# numbers that guesses use before the manifest as a whole is checked
_NUMBERS = {
    "clip": ("sample_rate", "n_samples"),
    "features": ("n_fft", "win_length", "hop_length", "n_mels", "n_mfcc", "n_bins"),
}


def check_settings(table: Mapping[str, Any]) -> None:
    """Raise EdgeaudioError at the first value of `--set` that guesses cannot use."""
    for section in ("clip", "input", "output", "features"):
        if not isinstance(table.get(section, {}), dict):
            raise EdgeaudioError(f"--set {section}={table[section]}: is a section; say --set {section}.KEY=VALUE")
    if not isinstance(table.get("input", {}).get("axes", []), list):
        raise EdgeaudioError(f'--set input.axes={table["input"]["axes"]}: is not a list, as in ["batch", "time"]')
    if not isinstance(table.get("labels", []), list):
        raise EdgeaudioError(f"--set labels={table['labels']}: is not a list; say --labels FILE")
    for section, keys in _NUMBERS.items():
        for key in keys:
            value = table.get(section, {}).get(key, 1)
            if type(value) is not int or value < 1:
                raise EdgeaudioError(f"--set {section}.{key}={value}: is not a whole number above 0")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
