"""Cameras that fail, and how soon the agent reports it and receives sound again.

A real agent, a real broker, GStreamer's RTSP server. Times are those of a subscriber: from the fault to the status that
reports it, and from the end of the fault to `listening`, which is published with the first sound.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from support.rtsp import tone

from chaos.camera_faults import ALAW, STALLED, Camera, Fault, loopback_faults, now_after, settings_of
from chaos.network import Cable
from chaos.stage import Stage
from chaos.watcher import Told, Watcher

PROVEN_S = 10.5  # of sound before each fault: then the agent tries again after 1 s, as after a long time in order
LOST_PERCENT = 10
LOSSY_S = 60.0
# no sound for 5 s, and what looking again at the network takes; then a wait of at most 30 s, an open of 10 s that may
# have begun just before, and the next wait. What is written down is what was measured, far less
TOLD_LIMIT_S = 10.0
AGAIN_LIMIT_S = 45.0
ACCOUNT_LIMIT_S = 2.0  # health comes every second, in tenths
SMALL_PACKETS = tone(8000, "alawenc ! rtppcmapay pt=8 max-ptime=20000000")  # of 20 ms, as cameras send them


@dataclass(frozen=True, slots=True)
class Row:
    """What was measured of one fault, done several times."""

    fault: str
    told: str  # the states and reasons that were published first
    rounds: int
    told_median_s: float | None  # from the fault; None: no status is published
    told_worst_s: float | None
    heard_again_median_s: float | None  # from the end of the fault
    heard_again_worst_s: float | None
    lost_error_s: float  # worst difference of the seconds counted as lost and those without sound
    account_error_s: float  # worst difference of seconds heard and lost and the agent's age
    note: str = ""

    @property
    def faults(self) -> tuple[str, ...]:
        """The limits that were exceeded, a line each."""
        limits = {
            "told": (self.told_worst_s, TOLD_LIMIT_S),
            "heard again": (self.heard_again_worst_s, AGAIN_LIMIT_S),
            "seconds lost": (self.lost_error_s, ACCOUNT_LIMIT_S),
            "seconds heard and lost": (self.account_error_s, ACCOUNT_LIMIT_S),
        }
        return tuple(
            f"{self.fault}: {what}: {value:.1f} s, over {limit:g} s"
            for what, (value, limit) in limits.items()
            if value is not None and value > limit
        )


@dataclass(frozen=True, slots=True)
class _Round:
    told: str
    heard_as: str  # codec and rate
    told_s: float
    heard_again_s: float
    lost_error_s: float
    account_error_s: float


def cameras(folder: Path, rounds: int = 5) -> list[Row]:
    """Measure every fault so many times, all at once: each has a camera and a source of its own."""
    (folder / "loopback").mkdir()
    (folder / "cables").mkdir()
    return [*on_loopback(folder / "loopback", rounds), *on_cables(folder / "cables", rounds)]


def on_loopback(folder: Path, rounds: int, settle_s: float = PROVEN_S) -> list[Row]:
    """Measure the faults that need no network of their own."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(folder))
        faults = loopback_faults(stack)
        absent = [Camera(stack) for _ in range(rounds)]
        settings = "".join(map(settings_of, faults))
        settings += "".join(f'[sources.absent-{i}]\nurl = "{camera.url}"\n' for i, camera in enumerate(absent))
        watcher = stack.enter_context(Watcher(stage.broker.port))
        agent = stage.agent(settings)
        started_s = time.monotonic()
        agent.start()
        with ThreadPoolExecutor(len(faults) + rounds) as crew:
            rows = [crew.submit(_row, fault, watcher, rounds, settle_s) for fault in faults]
            boots = [
                crew.submit(_boot, watcher, f"absent-{i}", "waiting refused", now_after(camera.start), started_s)
                for i, camera in enumerate(absent)
            ]
            result = [_summary("camera absent when the agent starts", [boot.result() for boot in boots])]
            return [*(row.result() for row in rows), *result]


def on_cables(folder: Path, rounds: int, settle_s: float = PROVEN_S, lossy_s: float = LOSSY_S) -> list[Row]:
    """Measure the faults of a network. Skips the test on a machine where none can be made."""
    with ExitStack() as stack:
        cable, lossy, absent = (stack.enter_context(Cable()) for _ in range(3))
        stage = stack.enter_context(Stage(folder))
        watcher = stack.enter_context(Watcher(stage.broker.port))
        behind, losing, away = (
            Camera(stack, cable=cable),
            Camera(stack, SMALL_PACKETS, lossy),
            Camera(stack, ALAW, absent),
        )
        unplugged = Fault(
            "network cable unplugged",
            "unplugged",
            behind.url,
            now_after(cable.unplug),
            now_after(cable.plug),
            {*STALLED, "waiting unreachable"},  # whether the kernel knows already that nobody is there
        )
        behind.start()
        losing.start()
        lossy.lose(LOST_PERCENT)
        away.start()
        absent.unplug()
        settings = settings_of(unplugged) + f'[sources.lossy]\nurl = "{losing.url}"\ntransport = "udp"\n'
        settings += f'[sources.absent]\nurl = "{away.url}"\n'
        started_s = time.monotonic()
        stage.agent(settings).start()
        with ThreadPoolExecutor(3) as crew:
            row = crew.submit(_row, unplugged, watcher, rounds, settle_s)
            plug = now_after(absent.plug)
            boot = crew.submit(_boot, watcher, "absent", "waiting unreachable", plug, started_s)
            losses = crew.submit(_losses, watcher, lossy_s)
            booted = _summary("network cable not plugged in when the agent starts", [boot.result()])
            return [row.result(), booted, losses.result()]


def _row(fault: Fault, watcher: Watcher, rounds: int, settle_s: float) -> Row:
    dice = random.Random(fault.name)
    return _summary(fault.name, [_round(fault, watcher, settle_s, dice) for _ in range(rounds)])


def _round(fault: Fault, watcher: Watcher, settle_s: float, dice: random.Random) -> _Round:
    watcher.wait_heard(fault.source, settle_s)
    lost_s = watcher.account(fault.source).lost_s
    position = watcher.position(fault.source)
    before_s = time.monotonic()
    began_s = fault.harm()
    told = watcher.wait_told(fault.source, fault.told, position)
    time.sleep(dice.uniform(0.0, 3.0))  # whether it is between two tries or in one when the camera is well again
    well_s = fault.mend()
    again = watcher.wait_told(fault.source, {"listening"}, told.position)
    watcher.wait_heard(fault.source, 1.5)
    account = watcher.account(fault.source)
    # the last sound before the fault came a little earlier, and some of what came after it is older
    deaf_s = again.at_s - min(began_s, before_s)
    return _Round(
        told.what,
        _sound(again),
        told.at_s - began_s,
        max(0.0, again.at_s - well_s),
        abs(account.lost_s - lost_s - deaf_s),
        account.error_s,
    )


def _boot(watcher: Watcher, source: str, wanted: str, mend: Callable[[], float], started_s: float) -> _Round:
    """Measure a source that cannot be opened when the agent starts, and later can."""
    told = watcher.wait_told(source, {wanted}, 0)
    time.sleep(random.Random(source).uniform(0.0, 10.0))
    well_s = mend()
    again = watcher.wait_told(source, {"listening"}, told.position)
    watcher.wait_heard(source, 1.5)
    account = watcher.account(source)
    deaf_s = again.at_s - started_s - watcher.boot_s(started_s)
    return _Round(
        told.what,
        _sound(again),
        told.at_s - started_s,
        max(0.0, again.at_s - well_s),
        abs(account.lost_s - deaf_s),
        account.error_s,
    )


def _sound(told: Told) -> str:
    return f"{told.status['codec']} {told.status['sample_rate']} Hz"


def _losses(watcher: Watcher, length_s: float) -> Row:
    watcher.wait_heard("lossy", 2.0)
    position, begin = watcher.position("lossy"), watcher.account("lossy")
    watcher.wait_heard("lossy", length_s * (1 - LOST_PERCENT / 100))
    end = watcher.account("lossy")
    lost, heard = end.lost_s - begin.lost_s, end.heard_s - begin.heard_s
    told: Sequence[Told] = watcher.since("lossy", position)
    return Row(
        f"{LOST_PERCENT} % of the packets lost, RTP over UDP",
        ", ".join(sorted({item.what for item in told})) or "listening",
        1,
        None,
        None,
        None,
        None,
        abs(lost - (lost + heard) * LOST_PERCENT / 100),
        end.error_s,
        f"{100 * lost / (lost + heard):.1f} % of {lost + heard:.0f} s counted as lost",
    )


def _summary(fault: str, rounds: list[_Round]) -> Row:
    told_s = [each.told_s for each in rounds]
    again_s = [each.heard_again_s for each in rounds]
    return Row(
        fault,
        ", ".join(sorted({each.told for each in rounds})),
        len(rounds),
        statistics.median(told_s),
        max(told_s),
        statistics.median(again_s),
        max(again_s),
        max(each.lost_error_s for each in rounds),
        max(each.account_error_s for each in rounds),
        f"heard again as {' and '.join(sorted({each.heard_as for each in rounds}))}",
    )
