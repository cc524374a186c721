"""What is known of all devices and sources now, in memory.

Owns: the newest state of each, when it was seen, and the bounds on their number.
Does not know: topics and payloads (wire.py), detections (history.py). Thread-safe; times are Unix seconds, handed in.

Everything comes from the broker's retained messages again after a start, so nothing of it is kept on disk.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from edgeaudio.dashboard.wire import Availability, Health, Removed, SourceNumbers, Status

MAX_DEVICES = 2_000
MAX_SOURCES = 10_000  # of all devices
MAX_OF_DEVICE: Final = 1_000  # sources of one, so that it leaves room for the others
LONG_AGO_S: Final = 0.0  # of a device that was offline already when this process first saw it


@dataclass(frozen=True, slots=True)
class Source:
    """One source: its last status, and what the last health report has of it."""

    device: str
    name: str
    status: Status | None = None
    numbers: SourceNumbers | None = None

    @property
    def newest(self) -> Status | SourceNumbers | None:
        """The state that is in force. Both topics carry it, and either may be lost: the one that began later holds."""
        status, numbers = self.status, self.numbers
        if status is None or (numbers is not None and numbers.since > status.since):
            return numbers
        return status


@dataclass(frozen=True, slots=True)
class Device:
    """One device."""

    name: str
    online: bool | None = None  # None: nothing was published about it
    offline_since_s: float | None = None  # None: it is not offline
    seen_s: float = LONG_AGO_S  # when it last sent something by itself; a last will is the broker's
    health: Health | None = None
    sources: tuple[Source, ...] = ()  # by name

    def is_gone(self, now_s: float, after_s: float) -> bool:
        """True if the device has been offline for longer than `after_s`."""
        return self.offline_since_s is not None and now_s - self.offline_since_s > after_s


@dataclass(frozen=True, slots=True)
class FleetSnapshot:
    """The whole fleet at one moment."""

    devices: tuple[Device, ...]  # by name
    left_out: int  # messages of devices and sources beyond the bounds
    revision: int  # grows with every change


class Fleet:
    """The state of all devices."""

    def __init__(self, *, max_devices: int = MAX_DEVICES, max_sources: int = MAX_SOURCES) -> None:
        self._max_devices = max_devices
        self._max_sources = max_sources
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}
        self._sources: dict[str, dict[str, Source]] = {}  # by device and name
        self._count = 0  # sources
        self._left_out = 0
        self._revision = 0

    @property
    def revision(self) -> int:
        """Grows with every change."""
        return self._revision

    def update(self, value: Availability | Status | Health | Removed, now_s: float, *, retained: bool = False) -> None:
        """Take a message; a retained one is as old as it says, or of unknown age."""
        with self._lock:
            self._revision += 1
            if isinstance(value, Removed):
                self._remove(value)
                return
            device = self._device(value.device)
            if device is None:
                return
            match value:
                case Availability():
                    device = _with_availability(device, now_s, online=value.online, retained=retained)
                case Health():
                    seen_s = min(now_s, value.at.timestamp()) if retained else now_s
                    self._take_numbers(value)
                    own = replace(value, sources={})  # the sources are kept once, and within their bound
                    device = replace(device, health=own, seen_s=max(device.seen_s, seen_s))
                case Status():
                    if not retained:
                        device = replace(device, seen_s=max(device.seen_s, now_s))
                    self._put(replace(self._source(value.device, value.source), status=value))
            self._devices[value.device] = device

    def saw(self, device: str, now_s: float) -> None:
        """Note that a device has sent a detection."""
        with self._lock:
            if (found := self._device(device)) is not None:
                self._devices[device] = replace(found, seen_s=max(found.seen_s, now_s))

    def model_sha256(self, device: str, model: str) -> str | None:
        """Return the hash of a device's model; None: the device has not reported it."""
        with self._lock:
            found = self._devices.get(device)
        return None if found is None or found.health is None else found.health.models.get(model)

    def is_offline(self, device: str) -> bool:
        """True if a device is known to be offline."""
        with self._lock:
            found = self._devices.get(device)
            return found is not None and found.online is False

    def snapshot(self) -> FleetSnapshot:
        """Return everything; devices and sources in the order of their names."""
        with self._lock:
            devices = sorted(self._devices.items())
            sources = {name: list(own.values()) for name, own in self._sources.items()}
            left_out, revision = self._left_out, self._revision
        ordered = {name: tuple(sorted(own, key=lambda source: source.name)) for name, own in sources.items()}
        return FleetSnapshot(
            tuple(replace(device, sources=ordered.get(name, ())) for name, device in devices), left_out, revision
        )

    def _device(self, name: str) -> Device | None:
        """Return a device, a new one too; None: it is left out, which is counted."""
        device = self._devices.get(name)
        if device is None:
            if len(self._devices) >= self._max_devices:
                self._left_out += 1
                return None
            device = Device(name)
        return device

    def _source(self, device: str, name: str) -> Source:
        return self._sources.get(device, {}).get(name) or Source(device, name)

    def _put(self, source: Source) -> None:
        own = self._sources.setdefault(source.device, {})
        if source.name not in own:
            if self._count >= self._max_sources or len(own) >= MAX_OF_DEVICE:
                self._left_out += 1
                return
            self._count += 1
        own[source.name] = source

    def _take_numbers(self, health: Health) -> None:
        """Take the numbers of a report, and drop sources that it no longer has: they left the settings."""
        own = self._sources.get(health.device, {})
        for name in [name for name, source in own.items() if name not in health.sources and _older(source, health.at)]:
            del own[name]
            self._count -= 1
        for name, numbers in health.sources.items():
            self._put(replace(self._source(health.device, name), numbers=numbers))

    def _remove(self, removed: Removed) -> None:
        if removed.source is None:
            self._devices.pop(removed.device, None)
            self._count -= len(self._sources.pop(removed.device, {}))
        elif self._sources.get(removed.device, {}).pop(removed.source, None) is not None:
            self._count -= 1


def _older(source: Source, at: datetime) -> bool:
    return source.newest is None or source.newest.since < at


def _with_availability(device: Device, now_s: float, *, online: bool, retained: bool) -> Device:
    if online:
        seen_s = device.seen_s if retained else max(device.seen_s, now_s)
        return replace(device, online=True, offline_since_s=None, seen_s=seen_s)
    if device.online is False:
        return device
    # a retained message about a device that was online here was missed while this process had no connection
    since_s = LONG_AGO_S if retained and device.online is None else now_s
    return replace(device, online=False, offline_since_s=since_s)
