"""Best-effort sinks that raise, hang or are slow are disabled, counted, reported and tried again, and delay nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.media import sine, write_media
from support.sinks import opened, running
from support.waiting import wait_until

from edgeaudio.agent import sink_runner
from edgeaudio.agent.agent import _runners
from edgeaudio.errors import EdgeaudioError
from edgeaudio.health.report import SinkState
from edgeaudio.hub import Hub
from edgeaudio.types import Block, Event, SourceState, SourceStatus


class Recorder:
    """A sink that keeps its items; `fault` is called first."""

    name = "recorder"
    accepts = frozenset({SourceStatus, Event, Block})
    max_s = 10.0

    def __init__(self, fault: Callable[[], object] = lambda: None, *, at: str = "handle") -> None:
        self.items: list[object] = []
        self.calls: list[str] = []
        self._fault = fault
        self._at = at

    def open(self) -> None:
        self._call("open")

    def handle(self, item: object) -> None:
        self._call("handle")
        self.items.append(item)

    def close(self) -> None:
        self._call("close")

    def _call(self, method: str) -> None:
        self.calls.append(method)
        if method == self._at:
            self._fault()


def status(source: str = "porch") -> SourceStatus:
    return SourceStatus(source, SourceState.LISTENING, datetime.now(UTC))


def test_a_sink_is_handed_what_it_accepts_and_is_closed_at_the_end():
    hub, sink = Hub(), Recorder()
    item = status()
    with running(sink, hub) as runner:
        opened(sink, hub)
        hub.publish(item)
        wait_until(lambda: sink.items == [item])
        assert runner.numbers().state is SinkState.RUNNING
    assert sink.calls == ["open", "handle", "close"]
    assert hub._by_type == {}


class Ticking(Recorder):
    """A sink that acts while nothing comes, and counts what it lost."""

    lost = 3

    def tick(self) -> None:
        self._call("tick")


def test_a_sink_may_act_while_nothing_comes_and_count_what_it_lost():
    hub, sink = Hub(), Ticking()
    with running(sink, hub) as runner:
        wait_until(lambda: sink.calls.count("tick") > 2)
        assert runner.numbers().lost == 3
    assert set(sink.calls) == {"open", "tick", "close"}


def test_a_tick_that_raises_disables_the_sink():
    def fail() -> None:
        raise OSError(28, "No space left on device")

    hub, sink = Hub(), Ticking(fail, at="tick")
    with running(sink, hub) as runner:
        wait_until(lambda: runner.numbers().failures > 1)
        assert runner.numbers().detail.startswith("OSError: ")


def test_an_error_that_says_what_to_do_is_one_line_in_health_and_in_the_log(caplog: pytest.LogCaptureFixture):
    def fail() -> None:
        raise EdgeaudioError("the folder is read-only; name another")

    hub, sink = Hub(), Recorder(fail, at="open")
    with running(sink, hub) as runner:
        wait_until(lambda: runner.numbers().state is SinkState.FAILED)
        assert runner.numbers().detail == "the folder is read-only; name another"
    assert "sink recorder is disabled until the next try: the folder is read-only; name another" in caplog.messages


def test_a_sink_that_is_woken_ends_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sink_runner, "TAKE_S", 60.0)
    sink, hub, stop = Recorder(), Hub(), threading.Event()
    runner = sink_runner.SinkRunner(sink, hub, lambda: None)
    thread = threading.Thread(target=runner.run, args=(stop,))
    thread.start()
    opened(sink, hub)
    stop.set()
    runner.wake()
    thread.join(10)
    assert not thread.is_alive()


def test_the_last_items_are_handed_over_at_the_stop():
    hub, sink = Hub(), Recorder()
    with running(sink, hub):
        opened(sink, hub)
        hub.publish(item := status())
    assert sink.items == [item]


@pytest.mark.parametrize("at", ["open", "handle"])
@pytest.mark.parametrize("error", [ValueError("no space for rtsp://me:hunter2@cam/x\n2"), MemoryError(), SystemExit(3)])
def test_a_sink_that_raises_is_disabled_counted_and_tried_again(
    error: BaseException, at: str, caplog: pytest.LogCaptureFixture
):
    failing = [error]

    def fault() -> None:
        if failing:
            raise failing.pop()

    hub, sink = Hub(), Recorder(fault, at=at)
    with running(sink, hub) as runner:
        if at != "open":
            opened(sink, hub)
            hub.publish(status())
        wait_until(lambda: runner.numbers().failures > 0)
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        opened(sink, hub)
        hub.publish(item := status("garden"))
        wait_until(lambda: item in sink.items)
    assert sink.calls.count("open") > 1
    assert "sink recorder is disabled" in caplog.text
    assert type(error).__name__ in caplog.text


def test_the_same_failure_is_logged_once_and_its_secrets_never(caplog: pytest.LogCaptureFixture):
    def fault() -> None:
        raise ValueError("cannot write to rtsp://me:hunter2@cam/x")

    with running(Recorder(fault, at="open"), Hub()) as runner:
        wait_until(lambda: runner.numbers().failures > 2)
        assert runner.numbers().state is SinkState.FAILED
        assert "hunter2" not in runner.numbers().detail
    lines = [record for record in caplog.records if "is disabled" in record.message and record.levelname == "ERROR"]
    assert len(lines) == 1
    assert "hunter2" not in lines[0].getMessage()


def test_a_sink_that_hangs_is_disabled_and_goes_on_when_it_returns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sink_runner, "STALL_TIMEOUT_S", 0.1)
    let_go = threading.Event()
    hub, sink = Hub(), Recorder(lambda: let_go.wait(20))
    with running(sink, hub) as runner:
        opened(sink, hub)
        hub.publish(status())
        wait_until(lambda: "handle" in sink.calls)

        def is_stalled() -> bool:
            runner.look_after(time.monotonic())
            return runner.numbers().state is SinkState.STALLED

        wait_until(is_stalled)
        assert not any(each.name == sink.name for group in hub._by_type.values() for each in group)
        assert (runner.numbers().failures, runner.numbers().detail) == (1, "it has not returned for 0.1 s")
        let_go.set()
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        opened(sink, hub)
        hub.publish(item := status("garden"))
        wait_until(lambda: item in sink.items)


class UnprintableError(Exception):
    """An error of a careless library."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class HugeError(Exception):
    """An error that quotes what it was given."""

    def __init__(self) -> None:
        super().__init__("rtsp://me:hunter2@cam/x " * 2_000_000)


@pytest.mark.parametrize("error", [UnprintableError(), HugeError()])
def test_whatever_a_sink_raises_costs_the_others_nothing(error: Exception, caplog: pytest.LogCaptureFixture):
    def fault() -> None:
        raise error

    with running(Recorder(fault, at="open"), Hub()) as runner:
        wait_until(lambda: runner.numbers().failures > 1)
        assert runner.numbers().detail.startswith(type(error).__name__)
        assert len(runner.numbers().detail) <= sink_runner.MAX_DETAIL
    assert "hunter2" not in caplog.text
    assert len(caplog.text) < 20_000


@pytest.mark.parametrize("max_s", [-1.0, float("nan"), None, "10"])
def test_a_sink_whose_bound_is_none_is_disabled(max_s: object):
    sink = Recorder()
    sink.max_s = max_s  # type: ignore[assignment]
    with running(sink, Hub()) as runner:
        wait_until(lambda: runner.numbers().failures > 1)
    assert not sink.items


def test_a_sink_that_hangs_after_a_failure_counts_as_stalled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sink_runner, "STALL_TIMEOUT_S", 0.1)
    let_go = threading.Event()

    def fault() -> None:
        if sink.calls.count("open") > 1:
            let_go.wait(20)
        raise OSError("the disk is gone")

    sink = Recorder(fault, at="open")
    with running(sink, Hub()) as runner:

        def is_stalled() -> bool:
            runner.look_after(time.monotonic())
            return runner.numbers().state is SinkState.STALLED

        wait_until(is_stalled)
        let_go.set()


def test_two_sinks_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two sinks have one name: recorder, recorder"):
        _runners([Recorder(), Recorder()], Hub(), lambda: None)


def test_every_item_is_handed_over_or_counted():
    failing, handed = [True], threading.Event()

    def fault() -> None:
        if len(sink.items) == 3 and failing:
            failing.clear()
            handed.wait(20)
            raise OSError("the disk is gone")

    hub, sink = Hub(), Recorder(fault)
    with running(sink, hub) as runner:
        opened(sink, hub)
        for _ in range(100):
            hub.publish(status())
        wait_until(lambda: len(sink.items) == 3)
        handed.set()
        wait_until(lambda: runner.numbers().failures == 1)
        for _ in range(50):
            hub.publish(status())  # disabled or not by now: each counts, or comes
    wait_until(lambda: runner.numbers().dropped + len(sink.items) == 150)
    assert runner.numbers().dropped >= 97


def test_all_that_waits_is_handed_over_at_the_stop():
    hub, sink = Hub(), Recorder(lambda: time.sleep(0.0005))
    with running(sink, hub) as runner:
        opened(sink, hub)
        for _ in range(500):
            hub.publish(status())
    assert len(sink.items) + runner.numbers().dropped == 500
    assert len(sink.items) > 128


def test_a_slow_sink_loses_the_oldest_items_and_reports_it(caplog: pytest.LogCaptureFixture):
    let_go = threading.Event()
    hub, sink = Hub(), Recorder(lambda: let_go.wait(20))
    with running(sink, hub) as runner:
        opened(sink, hub)
        for _ in range(5000):
            hub.publish(status())
        runner.look_after(time.monotonic())
        assert runner.numbers().dropped > 800
        assert runner.numbers().lag_s > 0
        let_go.set()
    assert "sink recorder has lost" in caplog.text


_SINKS = """
import threading, time
import edgeaudio.agent
from edgeaudio.types import Block, Event, Level, SourceStatus
class Faulty:
    accepts = frozenset({Block, Event, Level, SourceStatus})
    max_s = 10.0
    def __init__(self, name): self.name = name
    def open(self): pass
    def close(self): pass
    def handle(self, item):
        if self.name == "raises": raise RuntimeError("on purpose")
        if self.name == "sleeps": time.sleep(1)
        if self.name == "hangs": threading.Event().wait()
        if self.name == "ends": raise SystemExit(0)
class WithSinks(edgeaudio.agent.Agent):
    def __init__(self, *arguments, sinks=(), **more):
        super().__init__(*arguments, **more, sinks=[Faulty(n) for n in ("raises", "sleeps", "hangs", "ends")])
edgeaudio.agent.Agent = WithSinks
"""


def test_faulty_sinks_neither_end_the_agent_nor_hold_up_a_detection(
    broker: BrokerProcess,
    run_agent: Callable[..., RunningAgent],
    listen_to: Callable[[BrokerProcess], Listener],
    tmp_path: Path,
):
    broker.start()
    listener = listen_to(broker)
    tape = tmp_path / "tape.wav"
    write_media(tape, "pcm_s16le", sine(1000.0, 8000, 4.0), 8000)
    agent = run_agent(broker, f'[sources.porch]\nurl = "{tape}"\n')
    agent.start(patch=_SINKS + "from edgeaudio.agent import sink_runner\nsink_runner.STALL_TIMEOUT_S = 4.0\n")
    try:
        listener.wait_detection("onset")
        listener.wait_detection("offset")

        def sinks() -> dict[str, str]:
            reports = listener.payloads("/health")
            return {name: sink["state"] for name, sink in reports[-1].get("sinks", {}).items()} if reports else {}

        wait_until(lambda: sinks().get("hangs") == "stalled", 20)
        assert sinks()["sleeps"] == "running"
        numbers = listener.payloads("/health")[-1]["sinks"]
        assert all(numbers[name]["failures"] > 0 for name in ("raises", "ends", "hangs"))
        assert agent.process is not None
        assert agent.process.poll() is None
        agent.signal(15)
        assert agent.wait(10) == 0
    finally:
        # the provoked failures are logged with tracebacks
        agent.log_file.write_text(agent.log.replace("Traceback", "traceback"))
