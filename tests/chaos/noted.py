"""`edgeaudio`, with notes of what is done with each recording: `python -m chaos.noted archive run ...`.

Owns: the notes, a line each time that a recording is begun and that it is done, and whether its result was there when
it was begun. Workers and processes of jobs find this by its name: the folder of `chaos` is in the PYTHONPATH of all.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.archive.job import Job, Outcome, run_job

BEGUN = "begun"
AGAIN = "again"  # begun although its result is there
DONE = "done"


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of the recordings, by notes."""

    begun_twice: frozenset[str]  # those that a process was at when it was killed, and no others may be
    done_twice: frozenset[str]  # or begun although their result was there


def noted(job: Job) -> Outcome:
    """Do a job, and note it."""
    is_there = (Path(job.out) / job.result).exists()
    _note(job, AGAIN if is_there else BEGUN)
    outcome = run_job(job)
    if outcome.error is None:
        _note(job, DONE)
    return outcome


def notes_of(out: Path) -> Path:
    """Return where notes of a run into that folder are."""
    return out.with_name(f"{out.name}.notes")


def heard(out: Path) -> Heard:
    """Return what the notes of all runs into a folder say."""
    notes = notes_of(out)
    return _heard(notes.read_text().splitlines() if notes.exists() else ())


def _heard(lines: Iterable[str]) -> Heard:
    times: Counter[tuple[str, str]] = Counter()
    for line in lines:
        word, key = line.split()
        times[word, key] += 1
    keys = {key for _, key in times}
    begun = {key: times[BEGUN, key] + times[AGAIN, key] for key in keys}
    return Heard(
        frozenset(key for key in keys if begun[key] > 1),
        frozenset(key for key in keys if times[AGAIN, key] or times[DONE, key] > 1),
    )


def _note(job: Job, word: str) -> None:
    descriptor = os.open(notes_of(Path(job.out).parent), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{word} {job.key}\n".encode())  # one call: lines of several processes do not mix
    finally:
        os.close(descriptor)


def main() -> int:
    """Run the command line, with `noted` in place of what it does with a job."""
    from edgeaudio.archive import runs  # noqa: PLC0415 (not in processes of jobs)
    from edgeaudio.cli import main as edgeaudio  # noqa: PLC0415 (as above)

    runs.run_job = noted  # type: ignore[attr-defined]  # what it does with a job, by the name that it has there
    return edgeaudio(sys.argv[1:])


if __name__ == "__main__":
    # what is pickled must be that of the module, and not of __main__
    from chaos.noted import main as main_of_module

    sys.exit(main_of_module())
