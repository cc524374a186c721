"""The connection that fills the memory is ended before the kernel kills the agent; others keep theirs."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.endless import endless_server, write_long_head
from support.media import sine, write_media
from support.waiting import wait_until

from edgeaudio.agent import memory_watch
from edgeaudio.agent.memory_watch import SPARE_MB, SPARE_PER_SOURCE_MB, MemoryWatch, limit_of, unheard_bytes
from edgeaudio.capture.reader_counts import Load
from edgeaudio.health.machine import Machine

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]

LIMIT_MB = 220
# if the watch fails, only the child process runs out of memory
_GUARD = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
# a call that nothing interrupts, like some of FFmpeg's
_DEAF = """
import time
from edgeaudio.capture import reader
opening = reader.open_source
def deaf(config, *args, **more):
    if config.name != "bad":
        return opening(config, *args, **more)
    kept = []
    while True:
        kept.append(b"x" * 4_000_000)
        time.sleep(0.02)
reader.open_source = deaf
"""


@pytest.fixture
def endless(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an endless source."""
    if request.param == "http":
        with endless_server() as url:
            yield url
    else:
        write_long_head(tmp_path / "long.mkv", 20_000)
        yield str(tmp_path / "long.mkv")


def sources(bad: str, folder: Path, goods: int = 1) -> str:
    write_media(folder / "tape.wav", "pcm_s16le", sine(1000.0, 8000, 90.0), 8000)
    names = ["good", *(f"good-{number}" for number in range(1, goods))]
    told = "".join(f'[sources.{name}]\nurl = "{folder}/tape.wav"\n' for name in names)
    return f'{told}[sources.bad]\nurl = "{bad}"\n'


def source(listener: Listener, name: str) -> dict[str, Any]:
    reports = listener.payloads("/health")
    return reports[-1]["sources"][name] if reports else {}


def peak_mb(agent: RunningAgent) -> float:
    assert agent.process is not None
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1000


@pytest.mark.parametrize("endless", ["http", "file"], indirect=True)
def test_the_connection_that_fills_the_memory_is_ended_alone(
    endless: str, broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, sources(endless, tmp_path, 2), settings=f"memory_limit_mb = {LIMIT_MB}")
    agent.start(patch=_GUARD)
    status = listener.wait_state("bad", "waiting", "too_large", timeout_s=30)
    wait = datetime.fromisoformat(status["next_try"]) - datetime.now(UTC)
    assert timedelta(seconds=40) < wait <= timedelta(seconds=60)
    assert f"its limit {LIMIT_MB} MB" in status["detail"]
    reports = len(listener.payloads("/health"))
    wait_until(lambda: len(listener.payloads("/health")) > reports + 3, 20, "no health")
    health = listener.payloads("/health")[-1]
    assert health["memory_limit_mb"] == LIMIT_MB
    assert health["memory_mb"] < LIMIT_MB
    assert peak_mb(agent) < LIMIT_MB + 150  # between two measurements, on a busy machine
    wait_until(lambda: source(listener, "good").get("heard_s", 0) > 5, 20, "good is not heard")
    for name in ("good", "good-1"):
        good = source(listener, name)
        assert (good["state"], good["connections"]) == ("listening", 1)
    assert [s["reason"] for s in listener.payloads("good/status")] == [None] * len(listener.payloads("good/status"))


@pytest.mark.parametrize("endless", ["http"], indirect=True)
def test_a_source_that_fills_the_memory_backs_off(
    endless: str, broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, sources(endless, tmp_path), settings=f"memory_limit_mb = {LIMIT_MB}")
    agent.start(patch=_GUARD + "from edgeaudio.capture import reader\nreader.FIRST_LONG_WAIT_S = 1.0\n")

    def tries() -> list[datetime]:
        told = [s for s in listener.payloads("bad/status") if s["reason"] == "too_large" and s["next_try"]]
        return [datetime.fromisoformat(status["next_try"]) for status in told]

    wait_until(lambda: len(tries()) >= 3, 60, "it is not tried again")
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(tries())]
    assert gaps[0] > 2
    assert gaps[1] > 4
    assert source(listener, "good")["connections"] == 1
    assert peak_mb(agent) < LIMIT_MB + 150


def test_an_uninterruptible_source_ends_the_process_and_is_quarantined(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, sources("rtsp://127.0.0.1:9/x", tmp_path), settings=f"memory_limit_mb = {LIMIT_MB}")
    agent.start(patch=_GUARD + _DEAF)
    assert agent.wait(30) == 1
    assert "the reader of source bad, which fills the memory, has made no progress" in agent.log
    agent.start(patch=_GUARD + _DEAF)
    listener.wait_state("bad", "quarantined", "crashed_the_agent")
    wait_until(lambda: source(listener, "good").get("heard_s", 0) > 3, 20, "good is not heard")


def test_the_limit_is_the_setting_or_half_of_the_bound():
    half = limit_of(None, 4000.0, 90.0, 2)
    assert half is not None
    assert (half.mb, half.raised) == (2000.0, False)
    asked = limit_of(300.0, 4000.0, 90.0, 2)
    assert asked is not None
    assert (asked.mb, asked.raised) == (300.0, False)
    small = limit_of(64.0, 4000.0, 90.0, 2)
    assert small is not None
    assert (small.mb, small.raised) == (90.0 + SPARE_MB + 2 * SPARE_PER_SOURCE_MB, True)
    assert limit_of(None, None, 90.0, 2) is None


def test_a_limit_that_is_too_small_is_raised_with_a_warning(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, sources(f"{tmp_path}/none.wav", tmp_path), settings="memory_limit_mb = 64")
    agent.start()
    wait_until(lambda: source(listener, "good").get("heard_s", 0) > 3, 20, "good is not heard")
    assert "the memory limit is raised to" in agent.log
    assert listener.payloads("/health")[-1]["memory_limit_mb"] > 100


QUIET = Load(age_s=3600.0, heard_s=3600.0, received_bytes=None, cpu_s=360.0)


@pytest.mark.parametrize(
    ("load", "suspected"),
    [
        (Load(1.0, 0.0, None, 0.04), False),
        (Load(1.0, 0.0, 4_000_000, 0.5), False),
        (Load(1.0, 0.0, 100_000_000, 0.1), True),
        (Load(1.0, 0.0, None, 0.5), True),
        (QUIET, False),  # a small board
        (replace(QUIET, cpu_s=1000.0), True),
        (replace(QUIET, received_bytes=3600 * 1_000_000), False),
    ],
)
def test_data_without_sound_is_suspect(load: Load, suspected: bool):
    assert (unheard_bytes(load) > 0) == suspected


def test_the_bound_is_the_machine_s_or_a_control_group_s(tmp_path: Path):
    def put(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    machine = Machine(tmp_path)
    assert machine.memory_bound_mb() is None
    put("proc/meminfo", "MemTotal:        1000000 kB\nMemFree: 5 kB\n")
    assert machine.memory_bound_mb() == 1024.0
    put("proc/self/cgroup", "0::/system.slice/edgeaudio.service\n")
    put("sys/fs/cgroup/system.slice/edgeaudio.service/memory.max", "max\n")
    assert machine.memory_bound_mb() == 1024.0
    put("sys/fs/cgroup/system.slice/edgeaudio.service/memory.max", "300000000\n")
    assert machine.memory_bound_mb() == 300.0
    put("sys/fs/cgroup/system.slice/memory.max", "200000000\n")
    assert machine.memory_bound_mb() == 200.0
    # cgroup v1; and in a container, whose group is the root
    put("proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/docker/0123\n")
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
    assert machine.memory_bound_mb() == 1024.0
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "100000000\n")
    assert machine.memory_bound_mb() == 100.0


def test_this_machine_has_a_bound():
    bound_mb = Machine().memory_bound_mb()
    assert bound_mb is not None
    assert bound_mb > 64


class Fake:
    """A source whose connection has filled some memory, until it ends."""

    def __init__(self, name: str, load: Load, filled_mb: float = 0.0, *, deaf: bool = False) -> None:
        self.name = name
        self.filled_mb = filled_mb
        self.told: list[str] = []
        self._load: Load | None = load
        self._deaf = deaf

    def load(self) -> Load | None:
        return self._load

    def end_too_large(self, _detail: str) -> None:
        self.told.append("ended")
        if not self._deaf:
            self._load, self.filled_mb = None, 0.0

    def pardon(self) -> None:
        self.told.append("pardoned")


def watched(
    monkeypatch: pytest.MonkeyPatch, *sources: Fake, rest_mb: float = 90.0, limit_mb: float = 200.0
) -> list[str]:
    """Run a watch once over memory above its limit; return the sources for which it aborts."""
    monkeypatch.setattr(memory_watch, "_resident_mb", lambda _statm: rest_mb + sum(each.filled_mb for each in sources))
    monkeypatch.setattr(memory_watch, "END_ONE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(memory_watch, "END_ALL_TIMEOUT_S", 0.1)
    given_up: list[str] = []
    watch = MemoryWatch(lambda: list(sources), abort=lambda suspect: given_up.append(suspect.name))
    watch.limit_mb = limit_mb
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    wait_until(lambda: given_up or sum(each.filled_mb for each in sources) + rest_mb < limit_mb, 5)
    stop.set()
    thread.join()
    return given_up


OPENING = Load(age_s=1.0, heard_s=0.0, received_bytes=None, cpu_s=0.01)
LISTENING = Load(age_s=600.0, heard_s=600.0, received_bytes=5_000_000, cpu_s=6.0)
FED = Load(age_s=1.0, heard_s=0.0, received_bytes=120_000_000, cpu_s=0.1)


def test_only_the_connection_that_received_data_is_ended(monkeypatch: pytest.MonkeyPatch):
    quiet, opening, bad = Fake("quiet", LISTENING, 2.0), Fake("opening", OPENING, 2.0), Fake("bad", FED, 120.0)
    assert not watched(monkeypatch, quiet, opening, bad)
    assert (quiet.told, opening.told, bad.told) == ([], [], ["ended"])


def test_a_suspect_that_freed_nothing_is_pardoned(monkeypatch: pytest.MonkeyPatch):
    busy = Fake("busy", replace(FED, received_bytes=500_000_000), 1.0)
    bad = Fake("bad", FED, 120.0)
    assert not watched(monkeypatch, busy, bad)
    assert (busy.told, bad.told) == (["ended", "pardoned"], ["ended"])


def test_of_two_equal_suspects_the_younger_is_ended_first(monkeypatch: pytest.MonkeyPatch):
    old, young = Fake("old", replace(FED, age_s=9.0), 60.0), Fake("young", FED, 60.0)
    assert not watched(monkeypatch, old, young)
    assert (old.told, young.told) == ([], ["ended"])


def test_a_connection_that_does_not_end_aborts_the_process(monkeypatch: pytest.MonkeyPatch):
    bad = Fake("bad", FED, 120.0, deaf=True)
    assert set(watched(monkeypatch, Fake("opening", OPENING), bad)) == {"bad"}


def test_earlier_sound_does_not_excuse_recent_data(monkeypatch: pytest.MonkeyPatch):
    heard, quiet = Fake("heard", replace(LISTENING, age_s=9000.0, heard_s=9000.0)), Fake("quiet", LISTENING, 2.0)
    monkeypatch.setattr(memory_watch, "WINDOW_S", 0.2)
    monkeypatch.setattr(memory_watch, "LONGEST_S", 0.05)
    monkeypatch.setattr(memory_watch, "_resident_mb", lambda _statm: 90.0 + heard.filled_mb)
    watch = MemoryWatch(lambda: [quiet, heard], abort=lambda _suspect: None)
    watch.limit_mb = 200.0
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    wait_until(lambda: watch._windows[0], 5)
    heard._load = replace(LISTENING, age_s=9001.0, heard_s=9001.0, received_bytes=125_000_000)
    heard.filled_mb = 120.0
    wait_until(lambda: heard.told, 5, "nobody is suspected")
    stop.set()
    thread.join()
    assert (heard.told, quiet.told) == (["ended"], [])


def test_slowly_filled_memory_is_found_by_ending_each_in_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    quiet, slow = Fake("quiet", replace(LISTENING, received_bytes=9_000_000), 2.0), Fake("slow", LISTENING, 120.0)
    assert not watched(monkeypatch, quiet, slow)
    assert (quiet.told, slow.told) == (["ended", "pardoned"], ["ended"])
    assert "no source is to blame by itself" in caplog.text


def test_memory_filled_by_no_source_interrupts_each_once(monkeypatch: pytest.MonkeyPatch):
    quiet = Fake("quiet", LISTENING, 2.0)
    monkeypatch.setattr(memory_watch, "LONGEST_S", 0.01)
    monkeypatch.setattr(memory_watch, "_resident_mb", lambda _statm: 300.0)
    watch = MemoryWatch(lambda: [quiet], abort=lambda _suspect: None)
    watch.limit_mb = 200.0
    stop = threading.Event()
    thread = threading.Thread(target=watch.run, args=(stop,))
    thread.start()
    wait_until(lambda: quiet.told == ["ended", "pardoned"], 5)
    quiet._load = LISTENING
    assert not stop.wait(0.3)  # the watch has measured many times
    stop.set()
    thread.join()
    assert quiet.told == ["ended", "pardoned"]
