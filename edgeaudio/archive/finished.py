"""Which recordings have a result, by the names of the files of results.

Owns: what of them serves a recording as it is by now, and what that takes the place of. Does not know: how results are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgeaudio.archive.keys import Key, path_of
from edgeaudio.archive.recordings import Recording


class Finished:
    """The results of a place, as they were when a run began."""

    def __init__(self, names: Iterable[str]) -> None:
        """`names`: of parts, such as 2024-01/KEY, and the keys in months."""
        self._by_path: dict[str, tuple[str, ...]] = {}
        for name in names:
            path = path_of(name.rpartition("/")[2])
            self._by_path[path] = (*self._by_path.get(path, ()), name)

    def has(self, recording: Recording) -> bool:
        """True if the recording has a result."""
        key = recording.key
        return any(_key(name).serves(key) for name in self._of(key.path))

    def has_at_another_time(self, recording: Recording) -> bool:
        """True if its file has results with another beginning alone: by another zone, or table."""
        key = recording.key
        found = [_key(name) for name in self._of(key.path)]
        return any(each.is_at_another_time(key) for each in found) and not any(
            (each.file, each.time) == (key.file, key.time) for each in found
        )

    def replaced_by(self, recording: Recording) -> list[str]:
        """Return the parts of which a result that the recording has takes the place."""
        key = recording.key
        return self._parts(key.path, lambda each: not each.serves(key))

    def others_of(self, key: str) -> list[str]:
        """Return the parts of which a new result with this key takes the place."""
        return self._parts(path_of(key), lambda each: str(each) != key)

    def _parts(self, path: str, is_replaced: Callable[[Key], bool]) -> list[str]:
        return [name for name in self._of(path) if "/" in name and is_replaced(_key(name))]

    def _of(self, path: str) -> tuple[str, ...]:
        return self._by_path.get(path, ())


def _key(name: str) -> Key:
    return Key.parsed(name.rpartition("/")[2])
