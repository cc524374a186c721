"""`edgeaudio config migrate`: brings a settings file or a model's manifest up to date.

Owns: renaming keys where they stand, so that comments and order stay as they are.
Does not know: which names were replaced (schema_versions.py).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgeaudio import schema_versions
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular, replace_file
from edgeaudio.recognise.manifest import FILE_NAME as MANIFEST_NAME
from edgeaudio.recognise.manifest import MAX_BYTES
from edgeaudio.schema_versions import MANIFEST, SETTINGS, Rename, Schema, SchemaError, rename_keys
from edgeaudio.settings.sources import config_path
from edgeaudio.terminal import print_out


class UnclearKeyError(Exception):
    """A key that cannot be told from other text."""


def migrate(path: Path | None) -> int:
    """Rewrite a settings file, or the manifest of a model directory, and print what changed. Raises EdgeaudioError.

    None: the settings file that `run` would read.
    """
    file = config_path(path)
    if file is None:
        raise EdgeaudioError("config: there is no settings file; name one, or a model's directory")
    if file.is_dir():
        file /= MANIFEST_NAME
    schema = MANIFEST if file.name == MANIFEST_NAME else SETTINGS
    try:
        content = read_regular(file, MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise EdgeaudioError(f"{file}: is larger than {MAX_BYTES} bytes, so it is neither settings nor a manifest")
        text, changes = migrated(content.decode().removeprefix("\ufeff"), schema)
        if changes:
            replace_file(file, text)
    except OSError as error:
        raise EdgeaudioError(f"{file}: cannot be rewritten: {error.strerror}") from None
    except UnclearKeyError as error:
        raise EdgeaudioError(f"{file}: left as it is; {error}") from None
    except SchemaError as error:
        raise EdgeaudioError(f"{file}: {error}") from None
    except (ValueError, RecursionError) as error:  # TOML's and UTF-8's own errors, and numbers of too many digits
        raise EdgeaudioError(f"{file}: is not TOML: {error}") from None
    for change in changes or ["is up to date"]:
        print_out(f"{file}: {change}")
    return 0


def migrated(text: str, schema: Schema) -> tuple[str, list[str]]:
    """Return a TOML text with today's names, and a line for each change.

    Raises SchemaError, UnclearKeyError, and what tomllib raises.
    """
    table = tomllib.loads(text)
    changes = []
    for path, new in rename_keys(table, schema)[1]:
        wanted, _ = rename_keys(table, Schema(schema.version, (Rename(path, new),)))
        text = _renamed(text, path[-1], new, wanted)
        table = wanted
        changes.append(f"{'.'.join(path)} is {new} now")
    if schema_versions.KEY not in table:
        text = f"{schema_versions.KEY} = {schema.version}\n{text}"
        changes.append(f"{schema_versions.KEY} is {schema.version}")
    return text, changes


def _renamed(text: str, old: str, new: str, wanted: dict[str, Any]) -> str:
    """Return the text with one key renamed: at the place that makes the wanted table of it."""
    for start, end in _places(text, old):
        candidate = text[:start] + new + text[end:]
        try:
            if tomllib.loads(candidate) == wanted:
                return candidate
        except tomllib.TOMLDecodeError:  # the word stood elsewhere, in a string for one
            continue
    raise UnclearKeyError(f"write {new} for {old} by hand")


def _places(text: str, key: str) -> Iterator[tuple[int, int]]:
    """Yield where a key may stand: alone or in quotes, before `=`, `.` or `]`."""
    for match in re.finditer(rf"""(?<![\w-])(["']?){re.escape(key)}\1(?=[ \t]*[=.\]])""", text):
        yield match.span()
