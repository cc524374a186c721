"""Files that match a pattern such as `site*/**/*.wav`, as a shell's, in an order that is the same each time.

Owns: what matches, and that a folder that cannot be looked into costs only itself and is told: pathlib's glob ends in
silence there. Does not know: recordings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

RECURSIVE = "**"
MOST_DEEP = 200  # folders in each other: each takes some of the stack
TOO_DEEP = f"cannot be looked into: it is more than {MOST_DEEP} folders deep; name one of those in it"


def is_pattern(text: str) -> bool:
    """True if a part of a path stands for several names."""
    return any(mark in text for mark in "*?[")


def is_folder(entry: os.DirEntry[str]) -> bool | None:
    """True for a folder, False for anything else; None for what cannot be told, as a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return None


def matching(root: Path, parts: tuple[str, ...], folder: str = "") -> Iterator[tuple[str, str | None]]:
    """Yield what matches below a root: its path with slashes, and None or why a folder cannot be looked into.

    Hidden names match nothing. `**` stands for any folders, links to folders left out; behind it, for all files.
    """
    first, rest = parts[0], parts[1:]
    if rest and not is_pattern(first):
        yield from matching(root, rest, f"{folder}{first}/")
        return
    if folder.count("/") > MOST_DEEP:
        yield folder.rstrip("/"), TOO_DEEP
        return
    try:
        entries = _entries(root / folder)
    except OSError as error:
        yield folder.rstrip("/") or str(root), f"cannot be looked into: {error.strerror}"
        return
    if first == RECURSIVE:
        yield from matching(root, rest or ("*",), folder)
        for entry in (entry for entry in entries if is_folder(entry) and not entry.is_symlink()):
            yield from matching(root, parts, f"{folder}{entry.name}/")
        return
    for entry in (entry for entry in entries if fnmatchcase(entry.name, first)):
        if rest and is_folder(entry) is not False:
            yield from matching(root, rest, f"{folder}{entry.name}/")
        elif not rest and not is_folder(entry):
            yield folder + entry.name, None


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what is in a folder, sorted; nothing if there is none of that name. Raises OSError."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(found, key=lambda entry: entry.name)
