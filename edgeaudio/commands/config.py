"""`edgeaudio config migrate`: brings a settings file or a model's manifest up to date.

Owns: renaming keys where they stand, so that comments and order stay as they are.
Does not know: which names were replaced (schema_versions.py).
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

from edgeaudio import schema_versions
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular, replace_file
from edgeaudio.recognise.manifest import FILE_NAME as MANIFEST_NAME
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.manifest_file import MAX_BYTES
from edgeaudio.schema_versions import MANIFEST, SETTINGS, Rename, Schema, SchemaError, rename_keys
from edgeaudio.settings import Settings
from edgeaudio.settings.places import config_path
from edgeaudio.terminal import one_line, print_out
from edgeaudio.toml_reader import TomlError, loads

MAX_PLACES = 100  # at which a key is looked for: the whole file is read again for each
_MARK = "\ufeff"  # Windows' mark of UTF-8


class UnclearKeyError(Exception):
    """A key that cannot be told from other text."""


def migrate(path: Path | None) -> int:
    """Rewrite a settings file, or the manifest of a model directory, and print what changed. Raises EdgeaudioError.

    None: the settings file that `run` would read.
    """
    file = config_path(path)
    if file is None:
        raise EdgeaudioError("config: there is no settings file; name one, or a model's directory")
    if os.path.isdir(file):  # noqa: PTH112 (pathlib's raises where a folder on the way is closed)
        file /= MANIFEST_NAME
    name = one_line(str(file))
    try:
        changes = _rewrite(file)
    except OSError as error:
        hint = "; it is mounted by itself, so migrate it outside of the container" if error.errno == errno.EBUSY else ""
        raise EdgeaudioError(f"{name}: cannot be rewritten: {error.strerror}{hint}") from None
    except UnclearKeyError as error:
        raise EdgeaudioError(f"{name}: left as it is; {error}") from None
    except SchemaError as error:
        raise EdgeaudioError(f"{name}: {error}") from None
    except UnicodeDecodeError as error:
        raise EdgeaudioError(f"{name}: is not UTF-8 text (byte {error.start})") from None
    except TomlError as error:
        raise EdgeaudioError(f"{name}: is not TOML: {error}") from None
    for change in changes or ["is up to date"]:
        print_out(f"{name}: {change}")
    return 0


def _rewrite(file: Path) -> list[str]:
    """Rewrite a file; return a line for each change."""
    content = read_regular(file, MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise EdgeaudioError(f"{file}: is larger than {MAX_BYTES} bytes, so it is neither settings nor a manifest")
    text, changes = _migrated_file(content.decode())
    if changes:
        replace_file(file, text)
    return changes


def _migrated_file(text: str) -> tuple[str, list[str]]:
    """Return the text of a file, with the mark of UTF-8 that it has, and a line for each change."""
    bare = text.removeprefix(_MARK)
    new, changes = migrated(bare, _schema_of(loads(bare)))
    return text[: len(text) - len(bare)] + new, changes


def _schema_of(table: Mapping[str, Any]) -> Schema:
    """Return what kind of file has these keys. Raises SchemaError for neither."""
    keys = set(table) - {schema_versions.KEY}
    settings = set(Settings.model_fields)
    manifest = {field.name for field in fields(Manifest)} | {rename.old[0] for rename in MANIFEST.renames}
    if len(keys & manifest) > len(keys & settings):
        return MANIFEST
    if keys and not keys & settings:
        raise SchemaError(
            min(keys),
            "is a key of neither settings nor manifests, nor is any other; name an edgeaudio.toml or a model.toml",
        )
    return SETTINGS


def migrated(text: str, schema: Schema) -> tuple[str, list[str]]:
    """Return a TOML text with today's names, and a line for each change.

    Raises SchemaError, UnclearKeyError, TomlError.
    """
    table = loads(text)
    version = table.get(schema_versions.KEY, schema.version)
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise SchemaError(schema_versions.KEY, f"must be a whole number from 1 to {schema.version}, without quotes")
    changes = []
    for path, new in rename_keys(table, schema)[1]:
        wanted, _ = rename_keys(table, Schema(schema.version, (Rename(path, new),)))
        text = _renamed(text, path[-1], new, wanted)
        table = wanted
        changes.append(f"{'.'.join(path)} is {new} now")
    if schema_versions.KEY not in table:
        end = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
        text = f"{schema_versions.KEY} = {schema.version}{end}{text}"
        changes.append(f"{schema_versions.KEY} is {schema.version}")
    return text, changes


def _renamed(text: str, old: str, new: str, wanted: dict[str, Any]) -> str:
    """Return the text with one key renamed: at the place that makes the wanted table of it."""
    for start, end in islice(_places(text, old), MAX_PLACES):
        candidate = text[:start] + new + text[end:]
        try:
            if loads(candidate) == wanted:
                return candidate
        except TomlError:  # the word stood elsewhere, in a string for one
            continue
    raise UnclearKeyError(f"write {new} for {old} by hand")


def _places(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yield where a key may stand: alone or in quotes, before `=`, `.` or `]`."""
    for match in re.finditer(rf"""(?<![\w-])(["']?){re.escape(key)}\1(?=[ \t]*[=.\]])""", text):
        yield match.span()
