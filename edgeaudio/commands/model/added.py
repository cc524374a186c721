"""`edgeaudio model add --list` and `--remove`: what the catalogue has, and what was added."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from edgeaudio.commands.model.catalogue import Entry, catalogue, download_bytes
from edgeaudio.commands.model.staging import remove_model, writing_models
from edgeaudio.console import columns
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular
from edgeaudio.recognise.bundled_models import added_models, bundled_models
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME
from edgeaudio.recognise.manifest_file import MAX_BYTES
from edgeaudio.state_dir import models_dir
from edgeaudio.terminal import print_out, width_of
from edgeaudio.toml_reader import TomlError, loads

_HEADINGS = ["MODEL", "STATE", "SIZE", "LICENCE", "FOR"]


def show(to: Path | None) -> int:
    """Print all models: bundled, added, and those of the catalogue; 0. Raises EdgeaudioError."""
    place = models_dir() if to is None else to.absolute()
    added, bundled, entries = added_models(place), bundled_models(), catalogue()
    rows = [[name, "bundled", _size(folder), *_about(folder)] for name, folder in bundled.items()]
    rows += [[name, "added" if name in added else "", *_of_catalogue(each, entries)] for name, each in entries.items()]
    rows += [[name, "added", _size(folder), *_about(folder)] for name, folder in added.items() if name not in entries]
    print_out("\n".join(columns([_HEADINGS, *rows], ("<", "<", ">"), width=width_of(sys.stdout))))
    print_out(f"\nAdded models are in {place}")
    return 0


def remove(name: str, to: Path | None) -> int:
    """Remove an added model; 0 when it is gone. Raises EdgeaudioError."""
    place = models_dir() if to is None else to.absolute()
    added = added_models(place)
    if name not in added:
        if name in bundled_models():
            raise EdgeaudioError(f"{name}: is bundled with edgeaudio, and stays; the settings say which models run")
        raise EdgeaudioError(f"{place}: has no model {name!r}; there {_are(sorted(added))}")
    users = [other for other, folder in added.items() if name in _members(folder) and not (folder / name).is_dir()]
    if users:
        raise EdgeaudioError(f"{name}: {', '.join(users)} is made of it; remove that first")
    members = [member for member in _members(added[name]) if member in added]
    with writing_models(place):
        remove_model(added[name])
    print_out(f"{added[name]}: removed")
    for member in members:
        print_out(f"{member}, of which it was made, stays until it is removed, too")
    return 0


def _are(names: list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}" if names else "is none"


def _members(folder: Path) -> list[str]:
    """Return the models that a fused one is made of."""
    members = _table(folder).get("fuse", [])
    return (
        [str(member.get("model")) for member in members if isinstance(member, dict)]
        if isinstance(members, list)
        else []
    )


def _of_catalogue(entry: Entry, entries: Mapping[str, Entry]) -> list[str]:
    made_of = f" (with {', '.join(entry.fields.requires)})" if entry.fields.requires else ""
    return [_mb(download_bytes(entry, entries)), entry.fields.license, entry.fields.summary + made_of]


def _about(folder: Path) -> list[str]:
    """Return licence and description, as far as the manifest can be read."""
    table = _table(folder)
    return [str(table.get("license") or "not stated"), str(table.get("description", ""))]


def _size(folder: Path) -> str:
    try:
        return _mb((folder / MODEL_FILE_NAME).stat().st_size)
    except OSError:
        return "-"


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.2f} MB"


def _table(folder: Path) -> dict[str, object]:
    try:
        text = read_regular(folder / FILE_NAME, MAX_BYTES).decode()  # a pipe would be waited for
        return loads(text.removeprefix("\ufeff"))  # Windows' mark of UTF-8, as in read_manifest
    except (OSError, UnicodeDecodeError, TomlError):
        return {}
