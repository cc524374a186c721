"""States, levels, machine and watchdog."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.health.levels import LevelDigest, digest
from edgeaudio.health.machine import Machine
from edgeaudio.health.signal_monitor import ENTER_S, LEAVE_S, SignalMonitor
from edgeaudio.health.state import SourceHealth
from edgeaudio.health.watchdog import Part, ServiceManager, stuck_part
from edgeaudio.types import ChannelLevel, Level, Reason, SourceState, SourceStatus

START = datetime(2026, 1, 1, tzinfo=UTC)
FINE = Level("porch", START, 1.0, -40.0, -20.0, 0.0, 0.1)
DIGITAL = replace(FINE, rms_dbfs=None, peak_dbfs=None)
QUIET = replace(FINE, rms_dbfs=-95.0)
HALF_QUIET = replace(FINE, rms_dbfs=-85.0)
CLIPPED = replace(FINE, clipped_ratio=0.2)
HUM = replace(FINE, hum_ratio=0.97)
LISTENING = SourceStatus("porch", SourceState.LISTENING, START, codec="aac", sample_rate=16000, channels=1)
WAITING = SourceStatus("porch", SourceState.WAITING, START, Reason.REFUSED, "nothing listens")


@pytest.mark.parametrize(
    ("level", "state", "reason"),
    [
        (DIGITAL, SourceState.SILENT, Reason.DIGITAL_SILENCE),
        (QUIET, SourceState.SILENT, Reason.LOW_LEVEL),
        (CLIPPED, SourceState.CLIPPING, Reason.FULL_SCALE),
        (HUM, SourceState.HUM, Reason.MAINS_HUM),
        (replace(FINE, cancels=True), SourceState.SILENT, Reason.CHANNELS_CANCEL),
    ],
)
def test_a_state_is_entered_and_left_after_lasting_evidence(level: Level, state: SourceState, reason: Reason):
    judge = SignalMonitor()
    assert judge.feed(FINE).state is SourceState.LISTENING
    states = [judge.feed(level) for _ in range(int(ENTER_S))]
    assert [found.state for found in states[:-1]] == [SourceState.LISTENING] * (int(ENTER_S) - 1)
    assert (states[-1].state, states[-1].reason) == (state, reason)
    assert states[-1].detail
    states = [judge.feed(FINE) for _ in range(int(LEAVE_S))]
    assert [found.state for found in states] == [state] * (int(LEAVE_S) - 1) + [SourceState.LISTENING]


def test_a_channel_taken_in_place_of_a_silent_mean_is_reported():
    judge = SignalMonitor()
    found = [judge.feed(replace(FINE, cancels=True, heard=2)) for _ in range(int(ENTER_S))][-1]
    assert (found.state, found.reason) == (SourceState.LISTENING, Reason.CHANNELS_CANCEL)
    assert "channel 2" in found.detail


def test_a_digest_has_every_channel():
    loud, dead = ChannelLevel(-10.0, -3.0, 0.5, 0.0), ChannelLevel(None, None, 0.0, 0.0)
    both = replace(FINE, channels=(loud, dead))
    found = digest([both, replace(both, channels=(dead, dead))])
    assert found.channels[0].rms_dbfs == pytest.approx(-13.01, abs=0.01)
    assert (found.channels[0].peak_dbfs, found.channels[0].clipped_ratio) == (-3.0, 0.25)
    assert found.channels[1] == dead
    assert digest([both, FINE]).channels == ()


def test_a_level_between_the_limits_keeps_the_state():
    judge = SignalMonitor()
    for _ in range(30):
        assert judge.feed(HALF_QUIET).state is SourceState.LISTENING
    for _ in range(30):
        judge.feed(QUIET)
    for _ in range(30):
        assert judge.feed(HALF_QUIET).state is SourceState.SILENT


def test_evidence_that_comes_and_goes_enters_no_state():
    judge = SignalMonitor()
    for _ in range(20):
        assert [judge.feed(level).state for level in (QUIET, QUIET, CLIPPED, FINE)] == [SourceState.LISTENING] * 4


class Time:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def test_the_states_of_connection_and_sound_are_merged():
    health = SourceHealth(replace(LISTENING, state=SourceState.CONNECTING), Time())
    listening = health.connection(LISTENING)
    assert listening is not None
    assert listening.codec == "aac"
    assert health.connection(LISTENING) is None
    news = [health.level(DIGITAL) for _ in range(int(ENTER_S))]
    assert news[:-1] == [None] * (int(ENTER_S) - 1)
    silent = news[-1]
    assert silent is not None
    assert (silent.state, silent.reason, silent.codec) == (SourceState.SILENT, Reason.DIGITAL_SILENCE, "aac")
    assert silent.since > listening.since
    # another codec in the same connection does not reset the state
    changed = health.connection(replace(LISTENING, codec="opus"))
    assert changed is not None
    assert (changed.state, changed.codec, changed.since) == (SourceState.SILENT, "opus", silent.since)
    assert health.connection(WAITING) == WAITING
    # late levels do not change the state of a disconnected source
    assert health.level(FINE) is None
    assert health.status == WAITING
    again = health.connection(LISTENING)
    assert again is not None
    assert again.state is SourceState.LISTENING


def test_another_try_in_the_same_outage_is_no_news():
    health = SourceHealth(LISTENING, Time())
    connecting = replace(WAITING, state=SourceState.CONNECTING)
    assert health.connection(WAITING) == WAITING
    assert health.connection(connecting) is None
    assert health.status == WAITING
    # the next wait is published, for its time is another
    later = replace(WAITING, next_try=START)
    assert health.connection(later) == later
    # and so is a connection that waits for a push
    pushed = replace(connecting, detail="waiting for a sender")
    assert health.connection(pushed) == pushed


def test_levels_are_averaged_over_an_interval():
    gathered = LevelDigest(3.0)
    loud, silent = replace(FINE, rms_dbfs=-10.0, peak_dbfs=-3.0), DIGITAL
    assert gathered.add(silent) is None
    assert gathered.add(loud) is None
    level = gathered.add(silent)
    assert level is not None
    assert level.duration_s == 3.0
    assert level.rms_dbfs == pytest.approx(-10 - 4.771, abs=0.001)  # a third of the power
    assert level.peak_dbfs == -3.0
    assert level.at == silent.at
    assert gathered.add(loud) is None
    assert digest([DIGITAL, DIGITAL]).rms_dbfs is None


@given(st.lists(st.floats(-120, 0), min_size=1, max_size=20))
def test_a_digest_lies_between_its_levels(rms_dbfs: list[float]):
    level = digest([replace(FINE, rms_dbfs=value) for value in rms_dbfs])
    assert level.rms_dbfs is not None
    assert min(rms_dbfs) - 1e-6 <= level.rms_dbfs <= max(rms_dbfs) + 1e-6


def test_every_value_of_a_board_is_read(tmp_path: Path):
    def put(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    put("sys/class/thermal/thermal_zone0/temp", "48312\n")
    put("sys/class/thermal/thermal_zone1/temp", "51000\n")
    put("sys/class/thermal/thermal_zone2/temp", "no number\n")
    put("sys/class/hwmon/hwmon0/name", "cpu_thermal\n")
    put("sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    put("proc/self/statm", "100 25 3 4 5 6 0\n")
    machine = Machine(tmp_path)
    assert machine.temperature_c() == 51.0
    assert machine.throttled() is True
    put("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0\n")
    assert machine.throttled() is False
    assert machine.memory_mb() == pytest.approx(25 * 4096 / 1e6)


def test_values_that_a_board_lacks_are_none(tmp_path: Path):
    machine = Machine(tmp_path)
    assert (machine.temperature_c(), machine.throttled(), machine.memory_mb()) == (None, None, None)
    assert machine.disk_free_mb(tmp_path / "nowhere") is None


def test_values_of_this_machine_are_plausible():
    machine = Machine()
    memory_mb, free_mb = machine.memory_mb(), machine.disk_free_mb(Path("/"))
    assert memory_mb is not None
    assert 10 < memory_mb < 2000
    assert free_mb is not None
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    assert machine.cpu_percent() > 0


def test_free_memory_is_returned():
    program = (
        "from edgeaudio.health.machine import Machine, give_back_memory\n"
        "blocks = [b'x' * 60_000 for _ in range(1000)]\n"  # below malloc's mmap threshold
        "keep = blocks[-1]\n"  # the last one stays, so that the heap cannot shrink
        "full = Machine().memory_mb()\n"
        "del blocks\n"
        "give_back_memory()\n"
        "print(full - Machine().memory_mb())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    assert float(done.stdout) > 50


def malloc_info_of_sixteen_threads(prepare: str) -> list[str]:
    """What the C library says of its heaps after sixteen threads lived at once, each with 2 MB that it freed; and what
    it says when ten blocks of 300 kB have been asked for since."""
    program = (
        "import ctypes, threading\n"
        "from edgeaudio.health.machine import limit_arenas\n"
        f"{prepare}\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p\n"
        "together = threading.Barrier(16)\n"
        "def work():\n"
        "    small, large = libc.malloc(1000), libc.malloc(2_000_000)\n"
        "    together.wait()\n"
        "    libc.free(ctypes.c_void_p(large))\n"
        "threads = [threading.Thread(target=work) for _ in range(16)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "report = ctypes.c_void_p(libc.fdopen(1, b'w'))\n"
        "libc.malloc_info(0, report)\n"
        "kept = [libc.malloc(600_000) for _ in range(10)]\n"
        "libc.malloc_info(0, report)\n"
        "libc.fflush(report)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    before, after = re.findall(r"<malloc .*?</malloc>", done.stdout, re.DOTALL)
    return [before, after]


def test_threads_share_a_few_heaps():
    assert malloc_info_of_sixteen_threads("")[0].count("<heap nr=") > 3, "else this machine shows nothing"
    assert malloc_info_of_sixteen_threads("limit_arenas()")[0].count("<heap nr=") == 2


def test_large_blocks_stay_out_of_the_heaps():
    def mapped_since(prepare: str) -> int:
        # a difference within one process, for its other mappings vary
        before, after = (
            int(re.findall(r'type="mmap" count="(\d+)"', report)[-1])
            for report in malloc_info_of_sixteen_threads(prepare)
        )
        return after - before

    assert mapped_since("") == 0, "else this machine shows nothing"
    assert mapped_since("limit_arenas()") == 10


def test_a_stalled_part_is_found():
    parts = [Part("reader", 100.0, 60.0), Part("sender", 50.0, 45.0)]
    assert stuck_part(parts, 95.0) is None
    stuck = stuck_part(parts, 95.1)
    assert stuck is not None
    assert stuck.name == "sender"


def test_a_stalled_part_ends_the_process_with_its_stacks():
    program = (
        "import threading, time\n"
        "from edgeaudio.health.watchdog import Part, Stacks\n"
        "threading.Thread(target=time.sleep, args=(60,), name='stuck').start()\n"
        "stacks = Stacks(None, in_memory=False, stderr=None)\n"
        "stacks.abort(Part('the reader of source porch', 0.0, 60.0))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "the reader of source porch has made no progress for 60 s; the agent ends" in done.stderr
    assert "most recent call first" in done.stderr


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        listener.settimeout(2)
        yield address, listener


def test_systemd_is_notified(manager: tuple[str, socket.socket]):
    address, listener = manager
    service = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000"})
    service.notify("READY=1")
    assert listener.recv(100) == b"READY=1"
    service.alive()
    service.alive()  # half a minute too early
    service.notify("STOPPING=1")
    assert [listener.recv(100), listener.recv(100)] == [b"WATCHDOG=1", b"STOPPING=1"]


def test_an_abstract_socket_is_notified():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0edgeaudio-test-notify")
        listener.settimeout(2)
        ServiceManager({"NOTIFY_SOCKET": "@edgeaudio-test-notify"}).notify("READY=1")
        assert listener.recv(100) == b"READY=1"


def test_without_systemd_nothing_is_sent(caplog: pytest.LogCaptureFixture):
    ServiceManager({}).notify("READY=1")
    ServiceManager({}).alive()
    assert not caplog.records
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).notify("READY=1")
    assert "cannot notify the service manager" in caplog.text
