"""An archive by every way of running, while workers, scheduler and client are killed, and with files that are bad.

Owns: the recordings, the ways, and what must come out: the same rows to the bit, each recording once, bad files named.
Every recording that is begun and every one that is done is noted (noted.py), and results are watched while they are
written. A recording that has a result is never begun again; one that a killed worker was at is, and no other.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from support.brokers import ROOT
from support.dask_cluster import Dask
from support.processes import command_line_of, tree_of
from support.slurm import Slurm
from support.sounds import alarm_over_noise
from support.waiting import wait_until
from support.wave_files import write_wave

from chaos.noted import heard

SAMPLE_RATE = 16_000  # of alarms
PIECE_S = 6.0  # of a scene of twelve: two recordings that follow each other without a gap
SHARDS = 4
KILLS = 3
WORKERS = 2  # of Dask
TESTS = ROOT / "tests"
EDGEAUDIO = ("env", f"PYTHONPATH={TESTS}", sys.executable, "-m", "chaos.noted")
OPTIONS = ("--model", "alarms", "--scores", "0.02")


@dataclass(frozen=True, slots=True)
class Way:
    """One way of running, and what came out."""

    way: str
    recordings: int
    done: int
    named: tuple[str, ...]  # recordings without a result
    begun_twice: int  # a killed worker was at them
    finished_twice: int  # begun when they had a result, or with a result that was written again
    rows: int
    same_rows: str
    took_s: float
    faults: tuple[str, ...]


def archive(folder: Path, *, short: bool = False) -> Sequence[Way]:
    """Run the same recordings by every way. In the short form fewer, and without Slurm."""
    count = 24 if short else 200
    sounds = folder / "sounds"
    make_recordings(sounds, count)
    found = [_way(folder, sounds, "one process", _alone)]
    first = _rows(folder / "one-process")
    ways: dict[str, Callable[[Path, Path, Path], None]] = {
        f"LocalCluster of {WORKERS}": _on_dask,
        f"{SHARDS} shards": _shards,
    }
    if not short:
        ways[f"Slurm array of {SHARDS}"] = _on_slurm
    ways[f"Dask, {KILLS} kills, again"] = _killed
    found += [_way(folder, sounds, name, run, first) for name, run in ways.items()]
    bad = folder / "bad"
    make_recordings(bad, 12 if short else 48)
    expected = _damage(bad)
    for name, run in {"3 bad files, processes": _alone, "3 bad files, Dask": _on_dask}.items():
        with _poisoned(bad / expected[-1]):
            found.append(_way(folder, bad, name, run, bad=expected))
    return found


def make_recordings(folder: Path, count: int) -> None:
    """Write recordings with alarms; each second one goes on where the one before ends."""
    folder.mkdir()
    for index in range(0, count, 2):
        scene = alarm_over_noise("smoke_alarm" if index % 4 else "car_alarm", np.random.default_rng(index))
        cut = round(PIECE_S * SAMPLE_RATE)
        for part, samples in enumerate((scene[:cut], scene[cut : 2 * cut])):
            second = round(part * PIECE_S)
            name = f"hydrophone_202601{1 + index // 48:02d}_{index // 2 % 24:02d}00{second:02d}Z.wav"
            write_wave(folder / name, samples, SAMPLE_RATE)


def _damage(folder: Path) -> tuple[str, ...]:
    """Truncate one recording, empty another, and make a long one for `_poisoned`; return their names, sorted."""
    names = sorted(file.name for file in folder.iterdir())
    cut, empty = folder / names[4], folder / names[9]
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    empty.write_bytes(b"")
    poison = folder / "hydrophone_20260301_000000Z.wav"
    write_wave(poison, np.random.default_rng(0).normal(0, 0.05, 300 * SAMPLE_RATE), SAMPLE_RATE)
    write_wave(folder / "hydrophone_20260302_000000Z.wav", np.zeros(SAMPLE_RATE * 6), SAMPLE_RATE)
    return cut.name, empty.name, poison.name


@contextmanager
def _poisoned(file: Path) -> Iterator[None]:
    """Kill every process of a job that reads that file."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.003):
            for pid in tree_of(os.getpid()):
                if "edgeaudio.archive.process" in command_line_of(pid) and _reads(pid, file):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _reads(pid: int, file: Path) -> bool:
    with suppress(OSError):
        return any(os.path.realpath(each) == str(file) for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def _way(
    folder: Path,
    sounds: Path,
    name: str,
    run: Callable[[Path, Path, Path], None],
    first: dict[str, str] | None = None,
    bad: tuple[str, ...] = (),
) -> Way:
    """Run one way into a place of its own, and look at what came out."""
    out = folder / re.sub(r"\W+", "-", name)
    out.mkdir()
    began_s = time.monotonic()
    with _watched(out) as written:
        run(sounds, out, folder / f"{out.name}.log")
    took_s = time.monotonic() - began_s
    rows = _rows(out)
    count = len(list(sounds.iterdir()))
    named = tuple(sorted(set(re.findall(r"^  (\S+\.wav): ", (folder / f"{out.name}.log").read_text(), re.MULTILINE))))
    paths = Counter(path for path, *_ in written)
    notes = heard(out)
    twice = notes.done_twice | {Path(path).stem for path, times in paths.items() if times > 1}
    # what was running when workers were killed, and at last all of them with the scheduler
    cut_off = KILLS + WORKERS if "kills" in name else 0
    same = "" if first is None else "yes" if rows == first else "no"
    faults = []
    if named != tuple(sorted(bad)):
        faults.append(f"{name}: named {named}, and not {bad}")
    if len(rows) != count - len(bad):
        faults.append(f"{name}: {len(rows)} of {count} recordings have results")
    if same == "no":
        faults.append(f"{name}: other rows than of one process")
    if twice:
        faults.append(f"{name}: {len(twice)} recordings were finished twice")
    if len(notes.begun_twice) > cut_off and not bad:
        faults.append(f"{name}: {len(notes.begun_twice)} recordings were begun twice, and {cut_off} were cut off")
    return Way(
        name, count, len(rows), named, len(notes.begun_twice), len(twice), _count(out), same, took_s, tuple(faults)
    )


def _rows(out: Path) -> dict[str, str]:
    """Return a digest of the rows of each recording, by its key."""
    digests = {}
    for file in out.glob("*/parts/*/*.parquet"):
        assert file.stem not in digests, "two results of one recording"
        digests[file.stem] = hashlib.sha256(repr(pq.read_table(file).to_pylist()).encode()).hexdigest()
    return digests


def _count(out: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in out.glob("*/parts/*/*.parquet"))


@contextmanager
def _watched(out: Path) -> Iterator[set[tuple[str, int, int]]]:
    """Yield every result that was ever there: its path, and what tells it from another of that path."""
    seen: set[tuple[str, int, int]] = set()
    over = threading.Event()

    def look() -> None:
        for file in out.glob("*/parts/*/*.parquet"):
            with suppress(OSError):
                status = file.stat()
                seen.add((str(file), status.st_ino, status.st_mtime_ns))

    def watch() -> None:
        while not over.wait(0.02):
            look()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()
        look()


def _run(sounds: Path, out: Path, *options: str) -> list[str]:
    return [*EDGEAUDIO, "archive", "run", str(sounds), "--out", str(out), *OPTIONS, *options]


def _finish(command: list[str], log: Path) -> None:
    with log.open("ab") as said:
        subprocess.run(command, stdout=said, stderr=subprocess.STDOUT, timeout=900, check=False)


def _alone(sounds: Path, out: Path, log: Path) -> None:
    _finish(_run(sounds, out, "--workers", "1"), log)


def _shards(sounds: Path, out: Path, log: Path) -> None:
    for index in range(SHARDS):
        _finish(_run(sounds, out, "--workers", "1", "--shard", f"{index}/{SHARDS}"), log)


def _on_slurm(sounds: Path, out: Path, log: Path) -> None:
    shard = "--shard $SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
    with Slurm(out.with_suffix(".slurm"), cpus=2) as slurm:
        status, said = slurm.run_array(
            f"{' '.join(_run(sounds, out, '--workers', '1'))} {shard}", SHARDS, timeout_s=900
        )
    log.write_text(said)
    assert status == 0, said


def _on_dask(sounds: Path, out: Path, log: Path) -> None:
    with Dask(out.with_suffix(".dask"), workers=WORKERS) as dask:
        _finish(_run(sounds, out, "--scheduler", dask.address), log)


def _killed(sounds: Path, out: Path, log: Path) -> None:
    """Kill workers, then scheduler and client; run again."""

    def enough(least: int) -> bool:
        return len(list(out.glob("*/parts/*/*.parquet"))) >= least

    total = len(list(sounds.iterdir()))
    with Dask(out.with_suffix(".dask"), workers=WORKERS) as dask, log.with_suffix(".killed").open("wb") as said:
        client = subprocess.Popen(_run(sounds, out, "--scheduler", dask.address), stdout=said, stderr=subprocess.STDOUT)
        for kill in range(1, KILLS + 1):
            wait_until(partial(enough, total * kill // 8), 300.0, "the workers do nothing")
            wait_until(lambda: len(dask.worker_pids()) == WORKERS, 60.0, "the nannies start no worker")
            os.kill(dask.worker_pids()[kill % WORKERS], signal.SIGKILL)
        wait_until(partial(enough, total // 2), 300.0, "the workers do nothing")
        dask.kill_scheduler()
        client.kill()
        client.wait()
    with Dask(out.with_suffix(".again"), workers=WORKERS) as dask:
        _finish(_run(sounds, out, "--scheduler", dask.address), log)
