"""Make results of an archive that never was, to measure how fast they are asked, and for the picture in the docs.

    python -m tools.maintenance.synthetic_archive OUT                              # a year of a bird that sings at dawn
    python -m tools.maintenance.synthetic_archive OUT --measure 10000 --events 100 # times before and after `compact`

The bird is synthetic, and its label says so. It sings from March to July, from dawn on and a little before dusk; its
recorder listens for 30 minutes of each hour, and was without power twice.

Owns: what is made up. Does not know: how results are read.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.archive.compact import compact
from edgeaudio.archive.hearing import RESULTS
from edgeaudio.archive.query import Key, query
from edgeaudio.archive.rows import EVENT, RECORDING, SCHEMA
from edgeaudio.archive.selection import Filters
from edgeaudio.archive.sun import CIVIL_DEG, Passage, Place, passage

PLACE = Place(53.89, 9.14)
BIRD = "synthetic bird"
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
NO_POWER = ((datetime(2025, 2, 10, 9, tzinfo=UTC), 12), (datetime(2025, 8, 3, 4, tzinfo=UTC), 20))  # and days
QUESTIONS: tuple[tuple[Key, ...], ...] = (("label",), ("label", "month"), ("day", "hour"))
LABELS = (BIRD, "synthetic ship", "synthetic rain")


def main() -> None:
    """Make the results, and measure if that is asked for."""
    parser = argparse.ArgumentParser(prog="synthetic_archive", description="Make results of an archive that never was.")
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    parser.add_argument("--measure", type=int, metavar="N", help="so many recordings of 5 hours, and print times")
    parser.add_argument("--events", type=int, default=100, metavar="N", help="of each of these (default: 100)")
    options = parser.parse_args()
    place = options.out / "synthetic-000000000000"
    place.mkdir(parents=True)
    model = {"name": "synthetic", "clip": {"sample_rate": 16_000}}
    (place / "place.json").write_text(json.dumps({"results": RESULTS, "model": model, "settings": {}}))
    if options.measure is None:
        for begin, onsets_s in _year():
            _put(place, begin, 1800.0, onsets_s, np.zeros(len(onsets_s), np.intp))
        return
    rng = np.random.default_rng(1)
    for index in tqdm(range(options.measure), desc="results"):
        onsets_s = np.sort(rng.uniform(0, 17_990, options.events))
        _put(place, BEGIN + timedelta(hours=5 * index), 18_000.0, onsets_s, rng.integers(0, 3, options.events))
    _measure(place, "a file a recording")
    watch = _Watch()
    compact(place, print)
    print(f"compact: {watch.text()}")
    _measure(place, "a file a month")


def _year() -> Iterator[tuple[datetime, NDArray[np.float64]]]:
    """Yield the beginning of each recording, and the onsets in it."""
    rng = np.random.default_rng(20)
    for index in range(365 * 24):
        begin = BEGIN + timedelta(hours=index)
        if any(off <= begin < off + timedelta(days=days) for off, days in NO_POWER):
            continue
        count = rng.poisson(_rate(begin))
        yield begin, np.sort(rng.uniform(0, 1790, count))


def _rate(at: datetime) -> float:
    """Return how many songs half an hour has."""
    season = np.exp(-(((at - BEGIN).days - 135) ** 2) / (2 * 35**2))
    sun = passage(at.date(), PLACE, CIVIL_DEG)
    if not isinstance(sun, Passage):
        return 0.0
    after_dawn_h = (at - sun.rises) / timedelta(hours=1)
    to_dusk_h = (sun.sets - at) / timedelta(hours=1)
    by_day = 0.25 if after_dawn_h > 0 and to_dusk_h > 0 else 0.01
    song = np.exp(-((after_dawn_h - 0.3) ** 2) / 0.8) + 0.4 * np.exp(-((to_dusk_h - 0.8) ** 2) / 0.5)
    return float(season * (24 * song + 3 * by_day))


def _put(
    place: Path, begin: datetime, length_s: float, onsets_s: NDArray[np.float64], labels: NDArray[np.intp]
) -> None:
    """Write the result of one recording."""
    count = len(onsets_s)
    recording = f"reed-bed/SYN1_{begin:%Y%m%d_%H%M%S}.wav"
    key = hashlib.sha256(recording.encode()).hexdigest()[:32]
    offsets_s = np.append(onsets_s, 0.0)
    lengths_s = np.append(np.full(count, 2.5), length_s)
    begins = np.datetime64(begin.replace(tzinfo=None), "us") + (offsets_s * 1e6).astype("timedelta64[us]")
    ends = begins + (lengths_s * 1e6).astype("timedelta64[us]")
    scores = np.append(0.5 + 0.5 * (onsets_s * 7 % 1), 0.0).astype(np.float32)
    columns = {
        "kind": [*[EVENT] * count, RECORDING],
        "key": [key] * (count + 1),
        "recording": [recording] * (count + 1),
        "begins_at": pa.array(begins).cast(pa.timestamp("us", tz="UTC")),
        "ends_at": pa.array(ends).cast(pa.timestamp("us", tz="UTC")),
        "offset_s": offsets_s,
        "duration_s": lengths_s,
        "label": [*[LABELS[index] for index in labels], None],
        "score": pa.array(scores, mask=np.append(np.zeros(count, bool), True)),
        "model": ["synthetic"] * (count + 1),
    }
    part = place / "parts" / f"{begin:%Y-%m}" / f"{key}.parquet"
    part.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=SCHEMA), part, compression="zstd")


class _Watch:
    """Seconds of the clock, and of the CPU, which are few of a machine that does other things too."""

    def __init__(self) -> None:
        self._begin_s = time.perf_counter(), time.process_time()

    def text(self) -> str:
        clock_s, cpu_s = time.perf_counter() - self._begin_s[0], time.process_time() - self._begin_s[1]
        return f"{clock_s:.2f} s, {cpu_s:.2f} s of CPU"


def _measure(place: Path, what: str) -> None:
    for by in QUESTIONS:
        watch = _Watch()
        answer = query(place, by, Filters(zone="Europe/Berlin"), print)
        print(f"{what}, by {','.join(by)}: {watch.text()}, {len(answer.rows)} rows")


if __name__ == "__main__":
    main()
