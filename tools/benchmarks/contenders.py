"""Programs that listen to N streams, ours and others: started, moved between cores, and what they take.

Owns: the processes, the agent's settings, CPU and memory of a process with all below it, and the proof that a contender
has done its work. Does not know: which streams there are, what is compared.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from support.agents import Listener
from support.brokers import MosquittoFactory
from support.processes import tree_of
from support.rtsp import GstServer

from edgeaudio.capture import drain
from tools.benchmarks.cores import MEASURED, SERVERS

ROOT = Path(__file__).parents[2]
CLIP_S = 4.0  # of the model `home`: no clip is complete before
PERIOD_S = 0.5  # from one clip to the next
WORKING_S = 30.0  # limit until a contender works
ATTEMPTS = 3  # GStreamer's server may end, or send nothing more, when many come at once
SETTLE_S = 0.3  # after a move to the other core: caches are cold
STEADY_S = 40.0  # limit until an agent reads by periods: it first watches how each stream comes
LEAST = 0.95  # share of the clips that a contender must have scored
NO_LESS = 0.9  # of the CPU before
STOP_S = 10.0
# level messages and discovery are for nobody here
TOPICS = ("edgeaudio/+/health", "edgeaudio/+/+/status", "edgeaudio/+/+/detection")
# of every contender: OpenBLAS's workers would spin
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}


class ContenderError(Exception):
    """A contender that cannot be measured; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a contender has got through, all streams together."""

    heard_s: float
    scored: int  # clips
    lost_s: float = 0.0  # as far as the contender knows


class Running:
    """A process that listens to streams."""

    def __init__(self, process: subprocess.Popen[Any], n_streams: int) -> None:
        self.process = process
        self.n_streams = n_streams

    def move(self, cores: frozenset[int]) -> None:
        """Put all threads of the process and of its children on these cores; later ones follow."""
        for pid in tree_of(self.process.pid):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                try:
                    os.sched_setaffinity(int(thread.name), cores)
                except ProcessLookupError:  # it has ended
                    continue

    def cpu_s(self) -> float:
        """CPU seconds so far, of the process and of its present children."""
        # the number of another process's CPU clock, as clock_getcpuclockid makes it
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in tree_of(self.process.pid))

    def memory_mb(self) -> float:
        """Resident memory of the process, and what its children hold besides, each page once."""
        first, *children = tree_of(self.process.pid)
        return _mb(first, "Rss") + sum(_mb(child, "Pss") for child in children)

    def wait_working(self, camera: GstServer) -> None:
        """Wait until every stream of a camera is heard and scored. Raises ContenderError."""
        raise NotImplementedError

    def finish(self) -> Work:
        """Return the whole work; the contender may have ended then."""
        raise NotImplementedError


class Program(Running):
    """One of the programs of this folder, which answers as stream_program.py says."""

    def __init__(self, process: subprocess.Popen[str], n_streams: int, *, scores: bool) -> None:
        super().__init__(process, n_streams)
        self._scores = scores

    def wait_working(self, camera: GstServer) -> None:
        deadline_s = time.monotonic() + WORKING_S
        while not all(self._ask()["scored" if self._scores else "heard_s"]):
            if time.monotonic() > deadline_s or camera.process.poll() is not None:
                raise ContenderError(f"not all streams are heard after {WORKING_S:g} s")
            time.sleep(0.2)

    def finish(self) -> Work:
        answer = self._ask()
        return Work(sum(answer["heard_s"]), int(sum(answer["scored"])))

    def _ask(self) -> dict[str, list[float]]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            answer: dict[str, list[float]] = json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            raise ContenderError(f"it ended with status {self.process.wait(STOP_S)}") from None
        return answer


class AgentProcess(Running):
    """Our agent: its own final health report is the proof of its work."""

    def __init__(self, process: subprocess.Popen[Any], n_streams: int, listener: Listener, folder: Path) -> None:
        super().__init__(process, n_streams)
        self.listener = listener
        self.folder = folder

    def wait_working(self, camera: GstServer) -> None:
        deadline_s = time.monotonic() + WORKING_S
        while len(self._listening()) < self.n_streams:
            if time.monotonic() > deadline_s or self.process.poll() is not None:
                log = (self.folder / "log").read_text()
                raise ContenderError(f"the agent hears {len(self._listening())} of {self.n_streams} streams:\n{log}")
            time.sleep(0.1)
            if camera.process.poll() is not None:
                raise ContenderError("the camera has ended")
        self._wait_steady()

    def _wait_steady(self) -> None:
        """Wait until the agent no longer takes less CPU from one moment to the next."""
        time.sleep(max(CLIP_S, drain.SETTLE_S) + PERIOD_S)
        deadline_s, latest_s = time.monotonic() + STEADY_S, float("inf")
        while time.monotonic() < deadline_s:
            before_s = self.cpu_s()
            time.sleep(2 * PERIOD_S)
            took_s = self.cpu_s() - before_s
            if took_s > NO_LESS * latest_s:
                return
            latest_s = took_s

    def finish(self) -> Work:
        report = self.final_health()
        heard_s, lost_s = (sum(source[key] for source in report["sources"].values()) for key in ("heard_s", "lost_s"))
        return Work(heard_s, sum(model["inferences"] for model in report["models"].values()), lost_s)

    def final_health(self) -> dict[str, Any]:
        """Stop the agent, and return its last health report."""
        self.process.terminate()
        self.process.wait(STOP_S)
        time.sleep(0.3)  # the last messages are on their way
        return self.listener.payloads("/health")[-1]

    def _listening(self) -> set[str]:
        """Sources that are heard; silence is a state of its own."""
        statuses = [heard for heard in list(self.listener.heard) if heard.topic.endswith("/status")]
        return {
            heard.topic.split("/")[-2]
            for heard in statuses
            if json.loads(heard.payload)["state"] in {"listening", "silent"}
        }


Camera = Callable[[], AbstractContextManager[GstServer]]


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to listen to N streams."""

    name: str
    start: Callable[[str, int], AbstractContextManager[Running]]
    period_s: float = PERIOD_S  # its work repeats so: it is measured for a multiple of this
    scores: bool = True  # otherwise no clip may be scored


@dataclass(frozen=True, slots=True)
class Cost:
    """What a contender took while it was measured."""

    cpu_ms: float  # per second of one stream
    memory_mb: float  # of all streams


def costs(
    contenders: Sequence[Contender], camera: Camera, n_streams: int, *, rounds: int, seconds: float
) -> dict[str, Cost]:
    """Measure contenders in turn, each alone on the measured core; return medians of the rounds.

    All of them listen all the time. Those that are not being measured wait on the servers' cores, where this process
    must be pinned. Each has a camera of its own.
    Raises ContenderError if one cannot listen, or has not done its work, in any of ATTEMPTS.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return _costs(contenders, camera, n_streams, rounds=rounds, seconds=seconds)
        except ContenderError as error:
            print(f"  (once more: {str(error).splitlines()[0]})", flush=True)
    return _costs(contenders, camera, n_streams, rounds=rounds, seconds=seconds)


def _costs(
    contenders: Sequence[Contender], camera: Camera, n_streams: int, *, rounds: int, seconds: float
) -> dict[str, Cost]:
    found: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    memory_mb: dict[str, float] = {}
    with ExitStack() as stack:
        running: dict[str, Running] = {}
        servers: dict[str, GstServer] = {}
        for contender in contenders:
            server = servers[contender.name] = stack.enter_context(camera())
            running[contender.name] = stack.enter_context(contender.start(server.url, n_streams))
        for name, each in running.items():
            each.wait_working(servers[name])
        for _ in range(rounds):
            for contender in contenders:
                each = running[contender.name]
                each.move(MEASURED)
                time.sleep(SETTLE_S)
                found[contender.name].append(_cpu_ms(each, round(seconds / contender.period_s) * contender.period_s))
                memory_mb[contender.name] = each.memory_mb()
                each.move(SERVERS)
        for contender in contenders:
            check(contender, running[contender.name].finish(), n_streams)
    return {name: Cost(statistics.median(values), memory_mb[name]) for name, values in found.items()}


def _cpu_ms(running: Running, seconds: float) -> float:
    cpu_s, began_s = running.cpu_s(), time.monotonic()
    time.sleep(seconds)
    cpu_s, took_s = running.cpu_s() - cpu_s, time.monotonic() - began_s
    return 1000 * cpu_s / took_s / running.n_streams


def check(contender: Contender, work: Work, n_streams: int) -> None:
    """Raise ContenderError unless a contender has scored what it heard, or nothing if that is its way."""
    expected = (work.heard_s - n_streams * CLIP_S) / contender.period_s
    if contender.scores and work.scored < LEAST * expected:
        raise ContenderError(
            f"{contender.name}: scored {work.scored} clips of {expected:.0f}, lost {work.lost_s:.1f} s"
        )
    if not contender.scores and work.scored:
        raise ContenderError(f"{contender.name}: scored {work.scored} clips, and should none")


def program(module: str, *arguments: str, scores: bool = True) -> Callable[[str, int], AbstractContextManager[Running]]:
    """Return how to start one of the programs of this folder."""

    @contextmanager
    def start(url: str, n_streams: int) -> Iterator[Running]:
        command = [sys.executable, "-W", "ignore", "-m", f"tools.benchmarks.{module}", url, str(n_streams), *arguments]
        with _process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            yield Program(process, n_streams, scores=scores)

    return start


def agent(source_settings: str = "") -> Callable[[str, int], AbstractContextManager[AgentProcess]]:
    """Return how to start `edgeaudio run` at its defaults; `source_settings`: TOML lines for each source."""
    return partial(_agent, source_settings=source_settings)


@contextmanager
def _agent(url: str, n_streams: int, *, source_settings: str) -> Iterator[AgentProcess]:
    tables = [f'[sources.s{number}]\nurl = "{url}"\n{source_settings}\n' for number in range(n_streams)]
    with agent_process("".join(tables), ["-m", "edgeaudio", "run", "--config"], n_streams) as running:
        yield running


@contextmanager
def agent_process(
    settings: str, program: Sequence[str], n_streams: int, *, piped: bool = False, topics: Sequence[str] = TOPICS
) -> Iterator[AgentProcess]:
    """Run a Python program with the path of an agent's settings as its last argument, with a broker of its own.

    `settings`: TOML tables besides the device's and the broker's. `piped`: its standard input and output are pipes.
    `topics`: what the listener hears.
    """
    # the runtime directory and the log are in memory, as systemd has them
    shared_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 (not predictable: a new directory)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeaudio-bench-")))
        memory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeaudio-bench-", dir=shared_memory)))
        broker = MosquittoFactory(folder)().start()
        stack.callback(broker.stop)
        listener = stack.enter_context(Listener(broker.port, *topics))
        config = folder / "edgeaudio.toml"
        head = f'device = "bench"\nstate_dir = "{folder / "state"}"\n[mqtt]\nurl = "mqtt://127.0.0.1:{broker.port}"\n'
        config.write_text(head + settings)
        log = stack.enter_context((memory / "log").open("wb"))
        command = [sys.executable, *program, str(config)]
        pipe = subprocess.PIPE if piped else None
        environment = {"RUNTIME_DIRECTORY": str(memory)}
        process = stack.enter_context(_process(command, environment, stderr=log, stdin=pipe, stdout=pipe))
        yield AgentProcess(process, n_streams, listener, memory)


@contextmanager
def _process(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    *,
    stdin: int | None = None,
    stdout: int | None = None,
    stderr: int | IO[bytes] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    whole = {**os.environ, **ENVIRONMENT, **(environment or {})}
    process = subprocess.Popen(command, text=True, cwd=ROOT, env=whole, stdin=stdin, stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        if process.poll() is None:
            for pid in reversed(list(tree_of(process.pid))):
                _kill(pid)
        process.wait(STOP_S)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _mb(pid: int, key: str) -> float:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return int(lines[key].split()[0]) * 1024 / 1e6
