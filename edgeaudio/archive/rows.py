"""The rows of results: one schema for what was heard, in every file of every place.

Owns: names and types of the columns, and what each means. Does not know: where files lie, who writes or asks.
"""

from __future__ import annotations

import pyarrow as pa

RECORDING = "recording"  # one row a recording, even where nothing was heard in it: how much was listened to
EVENT = "event"  # one row an event, with onset and offset
SCORE = "score"  # one row a clip and label over the floor, where scores are asked for

SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),  # of the recording and all that its rows depend on: see keys.py
        pa.field("recording", pa.string(), nullable=False),  # path below the archive's root, with slashes
        pa.field("begins_at", pa.timestamp("us", tz="UTC"), nullable=False),  # of this row's sound
        pa.field("ends_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("offset_s", pa.float64(), nullable=False),  # of its first sample, in the recording
        pa.field("duration_s", pa.float64(), nullable=False),
        pa.field("label", pa.string()),  # null in the row of a recording
        pa.field("score", pa.float32()),  # of an event the highest; null in the row of a recording
        pa.field("model", pa.string(), nullable=False),
    ]
)
"""No column is named `at`: unquoted, that is a syntax error in DuckDB."""
