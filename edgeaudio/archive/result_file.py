"""The result of one recording: rows as they are heard, and the Parquet file that they become.

Owns: which rows a result has, and their times. Does not know: where files lie, how sound is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from edgeaudio.archive.borders import owned_s
from edgeaudio.archive.rows import EVENT, RECORDING, SCHEMA, SCORE
from edgeaudio.archive.storage import Storage, new_file
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.types import Block, Event, Scores

MOST_ROWS = 10_000  # in memory: 50,000 take 45 MB while they are written
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# kind, begins_at and ends_at in microseconds since 1970, offset_s, duration_s, label, score
_Row = tuple[str, int, int, float, float, str | None, float | None]
SPOOLED_BYTES = 8 << 20  # of a file that is not on disk yet


class ResultFile:
    """Rows of one recording; use it in a `with` block, and `write` it when all is heard."""

    def __init__(
        self, key: str, recording: str, begins_at: datetime, manifest: Manifest, scores_floor: float | None
    ) -> None:
        self.duration_s = 0.0
        self.events = 0
        self.goes_on = False  # its clips go on into the recording after
        self._common = {"key": key, "recording": recording, "model": manifest.name}
        self._begins_at = begins_at
        self._manifest = manifest
        self._owned_before_s = 0.0
        self._floor = scores_floor
        self._onsets: dict[str, Event] = {}  # of events that sound, by label
        self._rows: list[_Row] = []
        self._file: BinaryIO = tempfile.SpooledTemporaryFile(SPOOLED_BYTES)  # type: ignore[assignment]  # noqa: SIM115 (closed by __exit__)
        self._writer = pq.ParquetWriter(self._file, SCHEMA, compression="zstd")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()  # it writes its end, also of a file that is given up
        self._file.close()

    def heard(self, block: Block) -> None:
        """Note that the recording is known up to the end of a Block."""
        self.duration_s = (block.at - self._begins_at).total_seconds() + block.duration_s

    def add_before(self, events: Iterable[Event], length_s: float) -> None:
        """Take note of events that were heard ahead of the recording: those that end there are not its own.

        `length_s`: of the recording before.
        """
        self._owned_before_s = owned_s(self._manifest, length_s)
        for event in events:
            if event.kind == "onset":
                self._onsets[event.label] = event
            else:
                del self._onsets[event.label]

    def add_scores(self, scores: Scores) -> None:
        """Add the scores of a clip from the floor on."""
        if self._floor is not None and scores.values is not None:
            for index in np.flatnonzero(scores.values >= self._floor):
                self._add(
                    SCORE, scores.at, scores.duration_s, self._manifest.reported[index], float(scores.values[index])
                )

    def add(self, events: Iterable[Event]) -> None:
        """Add the rows of events that have ended."""
        for event in events:
            if event.kind == "onset":
                self._onsets[event.label] = event
            else:
                self._add_event(event)

    def add_last(self, events: Iterable[Event]) -> None:
        """Add the rows of events that sound at the end; those that the recording after has whole are left to it."""
        for event in events:
            begin_s = self.duration_s - (self._onsets[event.label].at - self._begins_at).total_seconds()
            if self.goes_on and begin_s <= owned_s(self._manifest, self.duration_s):
                del self._onsets[event.label]
            else:
                self._add_event(event, most_s=self.duration_s if self.goes_on else None)

    def _add_event(self, event: Event, most_s: float | None = None) -> None:
        """Add the row of an event: what the recordings before (a long event) and after have of it is cut off."""
        onset = self._onsets.pop(event.label)
        at, duration_s = onset.at, event.duration_s
        begin_s, least_s = (at - self._begins_at).total_seconds(), 0.0
        if begin_s < -self._owned_before_s:
            at, duration_s, begin_s = self._begins_at, duration_s + begin_s, 0.0
            least_s = event.at_error_s or 0.0  # it may as well have ended before
        if most_s is not None:
            duration_s = min(duration_s, most_s - begin_s)
        if duration_s > least_s:
            self.events += 1
            self._add(EVENT, at, duration_s, event.label, event.score)

    def write(self, storage: Storage, name: str) -> None:
        """Write the file under its name, with the row of the recording. Raises OSError."""
        self._add(RECORDING, self._begins_at, self.duration_s, None, None)
        self._flush()
        self._writer.close()
        self._file.seek(0)
        with new_file(storage, name) as file:
            while piece := self._file.read(1 << 20):
                file.write(piece)

    def _add(self, kind: str, at: datetime, duration_s: float, label: str | None, score: float | None) -> None:
        ends_at = at + timedelta(seconds=duration_s)
        offset_s = (at - self._begins_at).total_seconds()
        self._rows.append((kind, _microseconds(at), _microseconds(ends_at), offset_s, duration_s, label, score))
        if len(self._rows) >= MOST_ROWS:
            self._flush()

    def _flush(self) -> None:
        n_rows = len(self._rows)
        kinds, begins, ends, offsets, durations, labels, scores = zip(*self._rows, strict=True)
        columns = {
            "kind": _strings(kinds),
            "begins_at": _numbers("begins_at", begins, np.int64),
            "ends_at": _numbers("ends_at", ends, np.int64),
            "offset_s": _numbers("offset_s", offsets, np.float64),
            "duration_s": _numbers("duration_s", durations, np.float64),
            "label": _strings(labels),
            "score": _numbers("score", scores, np.float32),
            **{name: _strings([value] * n_rows) for name, value in self._common.items()},
        }
        self._writer.write_table(pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA))
        self._rows = []


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1)


# pa.array, which makes arrays of anything, imports pandas where it is installed: 45 MB in every process


def _strings(values: Sequence[str | None]) -> pa.Array:
    builder = pa.lib.StringBuilder()
    builder.append_values(values)
    return builder.finish()


def _numbers(name: str, values: Sequence[float | None], dtype: type[np.generic]) -> pa.Array:
    """Return the values, of which some may be None, as a column of the schema."""
    is_there = np.array([value is not None for value in values])
    numbers = np.array([0 if value is None else value for value in values], dtype)
    bits = None if is_there.all() else pa.py_buffer(np.packbits(is_there, bitorder="little"))
    return pa.Array.from_buffers(SCHEMA.field(name).type, len(values), [bits, pa.py_buffer(numbers)])
