"""A source that crashes the agent is quarantined by the next process, and costs the others only the restart."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.media import sine, write_media
from support.waiting import wait_until

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]

# in the child process alone: a crash as a server could provoke it in FFmpeg, of the kind in the file "crash"
_CRASH = """
import ctypes, os, signal, sys, time
from pathlib import Path
from edgeaudio.agent import source_quarantine
from edgeaudio.capture import reader
source_quarantine.FIRST_S = 3.0
reader.PROVEN_S = source_quarantine.PROVEN_S = 2.0
reader.LAST_DELAY_S = 1.0
opening = reader.open_source
def crash(kind):
    time.sleep(0.3)
    if kind == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
        time.sleep(10)
    elif kind == "read":
        ctypes.string_at(0)
    elif kind == "abort":
        os.abort()
    elif kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(10)
    elif kind == "hang":
        time.sleep(3600)
    elif kind == "raise":
        raise SystemExit(3)
def crashing(config, *args, **more):
    if config.name.startswith("bad"):
        crash(Path("{crash}").read_text())
    return opening(config, *args, **more)
reader.open_source = crashing
"""


class Service:
    """Restarts an agent when it ends, as a service manager does, until it is stopped."""

    def __init__(self, agent: RunningAgent, patch: str) -> None:
        self.starts = 0
        self.statuses: list[int] = []
        self._agent = agent
        self._patch = patch
        self._stop = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stop:
            self.starts += 1
            self._agent.start(patch=self._patch)
            assert self._agent.process is not None
            self.statuses.append(self._agent.process.wait())

    def end(self) -> None:
        self._stop = True

        def ended() -> bool:  # a process may just be starting
            if self._agent.process is not None and self._agent.process.poll() is None:
                self._agent.process.send_signal(signal.SIGTERM)
            self._thread.join(0.2)
            return not self._thread.is_alive()

        wait_until(ended, 20, "the agent does not end")


class House:
    """An agent under a service manager, with good and bad cameras."""

    def __init__(self, agent: RunningAgent, listener: Listener, crash: Path) -> None:
        self.agent = agent
        self.listener = listener
        self._crash = crash
        self.service: Service | None = None

    def start(self, kind: str, extra: str = "") -> None:
        self._crash.write_text(kind)
        self.service = Service(self.agent, _CRASH.replace("{crash}", str(self._crash)) + extra)

    def mend(self) -> None:
        self._crash.write_text("nothing")

    @property
    def starts(self) -> int:
        assert self.service is not None
        return self.service.starts

    def source(self, name: str) -> dict[str, Any]:
        reports = self.listener.payloads("/health")
        return reports[-1]["sources"][name] if reports else {}

    def heard_for(self, name: str, seconds: float) -> None:
        wait_until(lambda: self.source(name).get("heard_s", 0) > seconds, 25, f"{name} is not heard")


@pytest.fixture
def house(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[House]:
    """Return the house, parametrised by the names of its sources."""
    broker.start()
    names = getattr(request, "param", ["bad", "good"])
    for name in names:
        write_media(tmp_path / f"{name}.wav", "pcm_s16le", sine(1000.0, 8000, 60.0), 8000)
    sources = "".join(f'[sources.{name}]\nurl = "{tmp_path / name}.wav"\n' for name in names)
    agent = run_agent(broker, sources)
    made = House(agent, listen_to(broker), tmp_path / "crash")
    yield made
    if made.service is not None:
        made.service.end()


# kind of crash, and how many of them may happen before the source is quarantined
@pytest.mark.parametrize(
    ("kind", "deaths", "in_memory"),
    [
        ("segv", 2, True),
        ("read", 1, False),
        ("abort", 1, True),
        ("kill", 3, False),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in [("segv", 2, False), ("read", 1, True), ("abort", 1, False), ("kill", 3, True)]
        ),
    ],
)
def test_a_source_that_crashes_the_agent_is_quarantined(
    kind: str, deaths: int, in_memory: bool, house: House, memory_dir: Path
):
    if in_memory:
        house.agent.environment["RUNTIME_DIRECTORY"] = str(memory_dir)
    else:
        house.agent.environment["RUNTIME_DIRECTORY"] = "/dev/null/none"
    house.start(kind, "source_quarantine.FIRST_S = 60.0\n")
    wait_until(
        lambda: [
            s
            for s in house.listener.payloads("bad/status")
            if s["state"] == "quarantined"
            and datetime.fromisoformat(s["next_try"]) - datetime.now(UTC) > timedelta(seconds=40)
        ],
        30,
        "bad is not held back",
    )
    status = house.listener.payloads("bad/status")[-1]
    assert status["reason"] == "crashed_the_agent"
    assert "the agent died" in status["detail"]
    # crashes without evidence may take one more, if the bad source is tried after the good one
    assert house.starts <= deaths + 2
    house.heard_for("good", 3)
    assert house.source("good")["state"] == "listening"
    assert house.source("bad")["state"] == "quarantined"
    assert "bad: the agent died while it was open" in house.agent.log
    if kind in {"read", "abort"}:
        assert "good: the agent died" not in house.agent.log
    crash = house.listener.payloads("/health")[-1]["last_crash"]
    words = {"segv": "Segmentation fault", "read": "Segmentation fault", "abort": "Aborted", "kill": "it ended without"}
    assert crash["reason"] == ("killed" if kind == "kill" else "signal")
    assert crash["detail"].startswith(words[kind])
    assert datetime.now(UTC) - datetime.fromisoformat(crash["at"]) < timedelta(seconds=30)


def test_a_quarantined_source_backs_off_and_is_acquitted_by_its_sound(house: House):
    house.start("read", "source_quarantine.FIRST_S = 1.5\n")
    bad = house.listener
    wait_until(lambda: house.starts == 3, 30, "it was not tried again")  # after 1.5 s
    began_s = time.monotonic()
    wait_until(lambda: house.starts == 4, 30, "it was not tried a third time")
    assert time.monotonic() - began_s > 2.5  # after 3 s, and not 1.5
    house.mend()
    starts = house.starts
    wait_until(lambda: house.source("bad").get("state") == "listening", 40, "it is not heard")
    wait_until(lambda: "bad: 2 s of sound: no longer quarantined" in house.agent.log, 20, "it is not free")
    house.heard_for("good", 4)
    assert house.starts == starts
    assert bad.payloads("bad/status")[-1]["state"] == "listening"
    # and its crashes are forgotten
    house.agent.kill()
    wait_until(lambda: house.starts == starts + 1, 20, "no start")
    house.listener.forget()
    house.heard_for("bad", 1)
    assert house.agent.log.count("tried alone, for it is suspected") == 3


@pytest.mark.parametrize("house", [["bad-1", "bad-2", "good-1", "good-2"]], indirect=True)
def test_two_bad_sources_are_found_among_good_ones(house: House):
    house.start("segv", "source_quarantine.FIRST_S = 60.0\n")
    for name in ("good-1", "good-2"):
        wait_until(lambda: house.source(name).get("heard_s", 0) > 4, 60, f"{name} is not heard")  # noqa: B023
    for name in ("bad-1", "bad-2"):
        wait_until(lambda: house.source(name).get("state") == "quarantined", 40, f"{name} is not held back")  # noqa: B023
    wait_until(lambda: house.source("good-1").get("heard_s", 0) > 8, 40, "there is no peace")
    assert house.starts <= 4


@pytest.mark.parametrize("kind", ["hang"])
def test_the_source_of_a_stalled_reader_is_quarantined(kind: str, house: House):
    house.start(kind, "reader.Reader.stall_timeout_s = 2.0\nsource_quarantine.FIRST_S = 60.0\n")
    house.listener.wait_state("bad", "quarantined", "crashed_the_agent", timeout_s=30)
    house.heard_for("good", 3)
    assert house.starts == 2
    crash = house.listener.payloads("/health")[-1]["last_crash"]
    assert (crash["reason"], crash["detail"]) == ("stuck", "the reader of source bad has made no progress for 2 s")


def test_an_exception_quarantines_no_source(house: House):
    """The process ends with a traceback and status 1 while sources are being opened."""
    fault = (
        "from edgeaudio.sinks.mqtt.sender import Sender\nrun = Sender.run\ndef once(self):\n    try:\n"
        '        Path("{crash}").with_name("once").touch(exist_ok=False)\n    except FileExistsError:\n'
        "        return run(self)\n    time.sleep(0.5)\n    raise ZeroDivisionError\nSender.run = once\n"
    )
    house.start("nothing", fault.replace("{crash}", str(house._crash)))
    house.heard_for("bad", 3)
    assert house.starts == 2
    assert house.service is not None
    assert house.service.statuses == [1]
    assert not [s for s in house.listener.payloads("/status") if s["state"] == "quarantined"]
    house.agent.log_file.write_text(house.agent.log.replace("Traceback", "traceback"))
    crash = house.listener.payloads("/health")[-1]["last_crash"]
    assert (crash["reason"], crash["detail"][:20]) == ("exception", "ZeroDivisionError in")


def test_one_kill_quarantines_no_source(house: House):
    house.start("nothing")
    wait_until(lambda: house.listener.payloads("/status"), what="no status")
    house.agent.kill()
    wait_until(lambda: house.starts == 2, what="no start")
    house.heard_for("bad", 3)
    house.agent.kill()
    wait_until(lambda: house.starts == 3, what="no start")
    assert not [s for s in house.listener.payloads("/status") if s["state"] == "quarantined"]


def test_a_clean_stop_leaves_no_files(house: House):
    house.agent.start()
    house.heard_for("good", 1)
    assert [path.name for path in house.agent.runtime_dir.glob("*/*")]
    house.agent.signal(signal.SIGTERM)
    assert house.agent.wait() == 0
    assert not list(house.agent.runtime_dir.iterdir())
    house.listener.forget()
    house.agent.start()
    house.heard_for("good", 1)
    assert {report["last_crash"] for report in house.listener.payloads("/health")} == {None}


def test_a_power_cut_quarantines_no_source(house: House):
    """Notes from before the machine's start are ignored."""
    changed = "from edgeaudio.agent import last_crash\n"
    changed += "source_quarantine.boot_id = last_crash.boot_id = lambda: str(time.time())\n"
    house.start("segv", changed)
    wait_until(lambda: house.starts > 3, 30, "it does not crash")
    assert "quarantined" not in house.agent.log
    house.mend()
    house.heard_for("good", 1)
    starts = house.starts
    house.agent.kill()
    wait_until(lambda: house.starts > starts, 20, "no start")
    house.listener.forget()
    house.heard_for("good", 1)
    assert house.listener.payloads("/health")[-1]["last_crash"]["reason"] == "machine_reset"
