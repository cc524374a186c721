"""Archives of recordings that a test makes, and the rows of their results."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from support.wave_files import write_wave

from edgeaudio.archive.beginnings import beginnings
from edgeaudio.archive.hearing import Hearing, hearing_of
from edgeaudio.archive.job import Job, run_job
from edgeaudio.archive.places import open_place
from edgeaudio.archive.recordings import LeftOut, Recording, find_recordings
from edgeaudio.archive.runs import job_of
from edgeaudio.recognise.manifest import DetectorSection

RATE = 1200  # of the test model
# an event ends 0.2 s after its sound
DETECTOR = DetectorSection(on=0.5, off=0.3, votes=1, votes_of=2, hold_s=0.2)
START = datetime(2024, 1, 31, 12, tzinfo=UTC)


def thuds(seconds: float, *thuds_s: tuple[float, float]) -> NDArray[np.floating]:
    """Return silence with a constant 0.9 from each beginning to each end; the model's third label hears it."""
    samples = np.zeros(round(seconds * RATE))
    for begin_s, end_s in thuds_s:
        samples[round(begin_s * RATE) : round(end_s * RATE)] = 0.9
    return samples


def record(folder: Path, samples: NDArray[np.floating], begins_at: datetime = START) -> Path:
    """Write a recording as an AudioMoth would name it, in UTC."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_wave(folder / f"{begins_at:%Y%m%d_%H%M%S}.WAV", samples, RATE)


def record_in_parts(folder: Path, samples: NDArray[np.floating], *cuts_s: int) -> None:
    """Write samples as recordings that follow each other, cut at whole seconds."""
    for begin_s, end_s in zip([0, *cuts_s], [*cuts_s, len(samples) // RATE], strict=True):
        record(folder, samples[begin_s * RATE : end_s * RATE], START + timedelta(seconds=begin_s))


def found(target: Path | str, zone: str | None = "UTC") -> list[Recording | LeftOut]:
    """Return what lies below a folder."""
    return list(find_recordings(str(target), beginnings(zone, None)))


def jobs(folder: Path, model: str, out: Path, **settings: Any) -> list[Job]:
    """Return a job for each recording of a folder."""
    hearing: Hearing = hearing_of(model, **settings)
    place = open_place(str(out), hearing)
    return [job_of(each, hearing, place) for each in found(folder) if isinstance(each, Recording)]


def rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of all results below a folder, in order of time."""
    files = sorted(out.rglob("*.parquet"))
    return sorted(
        (row for file in files for row in pq.read_table(file).to_pylist()),
        key=lambda row: (row["begins_at"], row["recording"], row["kind"]),
    )


def events(out: Path) -> list[dict[str, Any]]:
    """Return the rows of events."""
    return [row for row in rows(out) if row["kind"] == "event"]


def heard(folder: Path, model: str, out: Path, **settings: Any) -> list[dict[str, Any]]:
    """Do all jobs of a folder, in this process; return the rows of events."""
    for job in jobs(folder, model, out, **settings):
        outcome = run_job(job)
        assert outcome.error is None
    return events(out)
