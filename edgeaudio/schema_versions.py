"""Versions of what files and payloads mean, and the names that were replaced.

Owns: the schema of settings and of model manifests, and the versions of MQTT payloads. Does not know: the outbox's
layout, whose version is in its file (outbox/database.py).

A version is raised when a reader of the version before would misread: a key was removed or renamed, or means something
else. A new key, topic or value does not raise it. A replaced name is read for two more releases, with one warning;
`edgeaudio config migrate` rewrites a file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeaudio.errors import EdgeaudioError

log = logging.getLogger(__name__)

KEY = "schema_version"  # in files and payloads; a file without it is of the first version
PAYLOAD_VERSION = 1  # of JSON
LIVE_VERSION = 1  # of the layout of live columns
SOUND_VERSION = 1  # of the layout of live sound

Path = tuple[str, ...]  # of a key, from the outermost table

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rename:
    """A key whose last part was replaced. `ANY` in `old` stands for the name of a source, model or label."""

    old: Path
    new: str


@dataclass(frozen=True, slots=True)
class Schema:
    """The version of a kind of file, and what older files call otherwise."""

    version: int
    renames: tuple[Rename, ...] = ()


SETTINGS = Schema(1)
MANIFEST = Schema(1, (Rename(("licence",), "license"),))

_warned: set[tuple[str, Path]] = set()  # origins and keys: one warning each in a process


class SchemaError(EdgeaudioError):
    """A table that is of a newer schema, or has a key by its old and its new name: the dotted key, and why."""

    def __init__(self, key: str, problem: str) -> None:
        self.key = key
        self.problem = problem
        super().__init__(f"{key}: {problem}")


def upgraded(table: Mapping[str, Any], schema: Schema, origin: str) -> dict[str, Any]:
    """Return a table with today's names, and log a warning for each old one. Raises SchemaError.

    `origin` says in the warning where the table is from.
    """
    renamed, old_names = rename_keys(table, schema)
    for path, new in old_names:
        if (origin, path) not in _warned:
            _warned.add((origin, path))
            old = ".".join(path)
            log.warning(
                "%s: %s is called %s now, and the earlier name is read for two more releases; rename it (in a file, "
                "`edgeaudio config migrate` does)",
                *(origin, old, new),
            )
    return renamed


def rename_keys(table: Mapping[str, Any], schema: Schema) -> tuple[dict[str, Any], list[tuple[Path, str]]]:
    """Return the table with today's names, and each old key with its new name. Raises SchemaError."""
    version = table.get(KEY)
    if isinstance(version, int) and version > schema.version:
        raise SchemaError(KEY, f"is {version}, and this edgeaudio reads up to {schema.version}: upgrade edgeaudio")
    renamed: dict[str, Any] = dict(table)
    found: list[tuple[Path, str]] = []
    for rename in schema.renames:
        renamed = _rename(renamed, rename, (), found)
    return renamed, found


def _rename(table: Mapping[str, Any], rename: Rename, at: Path, found: list[tuple[Path, str]]) -> dict[str, Any]:
    part, *further = rename.old[len(at) :]
    renamed = {}
    for name, value in table.items():
        path = (*at, name)
        if part not in {ANY, name}:
            renamed[name] = value
        elif further:
            renamed[name] = _rename(value, rename, path, found) if isinstance(value, Mapping) else value
        elif rename.new in table:
            problem = f"is the earlier name of {rename.new}, which is there too: keep {rename.new}"
            raise SchemaError(".".join(path), problem)
        else:
            found.append((path, rename.new))
            renamed[rename.new] = value
    return renamed
