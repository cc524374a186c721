"""Where results of one model with one set of settings lie, and which recordings are done there.

Owns: the layout of a place, its description, notes of failures. Does not know: rows, jobs, how files are written.

    OUT/<place>/place.json                  model and settings
    OUT/<place>/parts/<YYYY-MM>/<key>.parquet
    OUT/<place>/months/<YYYY-MM>.parquet    what `compact` made of parts
    OUT/<place>/found.json                  how many recordings the last run found
    OUT/<place>/lengths.json                what `status` has read of parts, so that it opens each once
    OUT/<place>/failed/<key>.json           why a recording has no result
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edgeaudio.archive.hearing import RESULTS, Hearing, described, loaded_model
from edgeaudio.archive.keys import path_of
from edgeaudio.archive.rows import RECORDING
from edgeaudio.archive.storage import Storage, remove_stale, storage_at
from edgeaudio.errors import EdgeaudioError
from edgeaudio.version import __version__

DESCRIPTION = "place.json"
FOUND = "found.json"
LENGTHS = "lengths.json"


@dataclass(frozen=True, slots=True)
class Failure:
    """A recording without a result, and why."""

    key: str
    recording: str
    error: str


@dataclass(frozen=True, slots=True)
class Done:
    """How much has a result."""

    recordings: int
    heard_s: float
    damaged: tuple[str, ...] = ()  # files of results that cannot be read


class Place:
    """The results of one model and its settings. Its methods raise OSError."""

    def __init__(self, address: str) -> None:
        """`address`: of the place itself, OUT/<place>."""
        self.address = address
        self.storage: Storage = storage_at(address)

    def done(self) -> set[str]:
        """Return the names of all results: of parts with their month, 2024-01/KEY; in a month's file, the keys.

        Raises EdgeaudioError for a month that cannot be read, all of whose recordings would be listened to again.
        """
        parts = (name for name in self.storage.names("parts") if name.endswith(".parquet"))
        keys = {name.removeprefix("parts/").removesuffix(".parquet") for name in parts}
        for name in self.storage.names("months"):
            if name.endswith(".parquet"):
                try:
                    keys.update(key for key, _ in self._lengths_of(name))
                except (pa.ArrowException, LookupError):
                    advice = "put it back from a copy; or remove it, and its recordings are listened to again"
                    raise EdgeaudioError(f"{self.address}/{name}: is damaged: {advice}") from None
        return keys

    def remove_parts(self, names: Iterable[str]) -> None:
        """Remove parts of which newer results took the place, by their names of `done`."""
        for name in names:
            self.storage.remove(f"parts/{name}.parquet")

    def amount(self) -> Done:
        """Return how much has a result, by the results themselves; a part that was read before is not opened again."""
        lengths: dict[str, float] = {}  # by path: of a recording that was replaced, the part counts
        damaged = []
        known, read = self._known_parts(), dict[str, list[Any]]()
        for folder in ("parts", "months"):  # parts first: one that is compacted meanwhile is in a month by then
            for name, *state in self.storage.stored(folder):
                if not name.endswith(".parquet"):
                    continue
                try:
                    before, found = known.get(name, (None, {}))
                    if before != state:
                        found = dict(self._lengths_of(name))
                except FileNotFoundError:
                    continue
                except (pa.ArrowException, LookupError):
                    damaged.append(name)
                    continue
                for key, duration_s in found.items():
                    lengths.setdefault(path_of(key), duration_s)
                if folder == "parts":
                    read[name] = [state, found]
        if read != known:
            with suppress(OSError):  # of others, or on a full disk: the next time all are read again
                self.storage.write(LENGTHS, json.dumps({"results": RESULTS, "parts": read}).encode())
        return Done(len(lengths), sum(lengths.values()), tuple(sorted(damaged)))

    def _known_parts(self) -> dict[str, list[Any]]:
        """Return size and time of change of each part that `amount` has read, and the lengths in it by key."""
        try:
            found = json.loads(self.storage.read(LENGTHS))
            parts = found["parts"] if found["results"] == RESULTS else {}
            if all(
                len(state) == 2 and all(isinstance(s, float) for s in lengths.values())
                for state, lengths in parts.values()
            ):
                return dict(parts)
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            pass
        return {}

    def note_found(self, recordings: int) -> None:
        """Keep how many recordings there are, done or not."""
        self.storage.write(FOUND, _json({"recordings": recordings}))

    def found(self) -> int | None:
        """Return how many recordings the last run found; None if none has."""
        try:
            return int(json.loads(self.storage.read(FOUND))["recordings"])
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None

    def failures(self) -> Iterator[Failure]:
        """Yield the recordings whose last try failed."""
        for name in self.storage.names("failed"):
            try:
                note = json.loads(self.storage.read(name))
                yield Failure(PurePosixPath(name).stem, str(note["recording"]), str(note["error"]))
            except (FileNotFoundError, ValueError, LookupError, TypeError):
                continue  # removed meanwhile, or none of ours

    def note_failure(self, failure: Failure) -> None:
        """Keep why a recording has no result."""
        note = {"recording": failure.recording, "error": failure.error}
        self.storage.write(f"failed/{failure.key}.json", _json(note))

    def forget_failure(self, key: str) -> None:
        """Remove the note on a recording."""
        self.storage.remove(f"failed/{key}.json")

    def _lengths_of(self, name: str) -> Iterator[tuple[str, float]]:
        """Yield key and length in seconds of each recording in a result file. Raises ArrowException, LookupError."""
        wanted = ["kind", "key", "duration_s"]
        with self.storage.open(name) as file:
            for batch in pq.ParquetFile(file).iter_batches(columns=wanted):
                rows = zip(*(batch.column(each).to_pylist() for each in wanted), strict=True)
                yield from ((key, duration_s) for kind, key, duration_s in rows if kind == RECORDING)


def places_below(out: str) -> list[Place]:
    """Return the places below `out`, in order of their names. Raises OSError."""
    names = storage_at(out).names("")
    folders = {name.partition("/")[0] for name in names if name.count("/") == 1 and name.endswith(f"/{DESCRIPTION}")}
    return [Place(f"{out.rstrip('/')}/{folder}") for folder in sorted(folders)]


def open_place(out: str, hearing: Hearing) -> Place:
    """Return the place of these settings below `out`, which is made if it is missing. Raises EdgeaudioError."""
    place = Place(f"{out.rstrip('/')}/{hearing.place}")
    try:
        place.storage.make()
        if not _check(place):
            description = described(hearing, loaded_model(hearing))
            place.storage.write(DESCRIPTION, _json({"edgeaudio": __version__, **description}))
        remove_stale(place.storage)
    except OSError as error:
        reason = error.strerror or str(error)
        raise EdgeaudioError(f"{out}: cannot be used for results: {reason}; name another with --out") from None
    return place


def _check(place: Place) -> bool:
    """Return True if the place is there. Raises EdgeaudioError if its results are of another version."""
    try:
        content = place.storage.read(DESCRIPTION)
    except FileNotFoundError:
        return False
    try:
        found = json.loads(content)["results"]
    except (ValueError, LookupError, TypeError, RecursionError):
        found = "no known one"
    if found != RESULTS:
        raise EdgeaudioError(
            f"{place.address}: its results are of version {found}, and this edgeaudio has {RESULTS}; name another --out"
        )
    return True


def _json(values: object) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode("utf-8", "surrogateescape")
