"""What is known of all devices and sources now, in memory.

Owns: the newest state of each, when it was seen, and the bounds on their number.
Does not know: topics and payloads (wire/payloads.py), detections (history.py). Thread-safe; times are Unix seconds,
handed in.

Everything comes from the broker's retained messages again after a start, so nothing of it is kept on disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from edgeaudio.wire.payloads import Availability, Health, Removed, SourceNumbers, Status

Number = TypeVar("Number", int, float)

MAX_DEVICES = 2_000
MAX_SOURCES = 10_000  # of all devices
MAX_OF_DEVICE: Final = 5_000  # sources of one, which may be a centre; it leaves room for the others
LONG_AGO_S: Final = 0.0  # of a device that was offline already when this process first saw it


@dataclass(frozen=True, slots=True)
class Source:
    """One source: its last status, and what the last health report has of it."""

    device: str
    name: str
    status: Status | None = None
    numbers: SourceNumbers | None = None
    shard: int | None = None  # of a centre, the one that last reported it

    @property
    def newest(self) -> Status | SourceNumbers | None:
        """The state that is in force. Both topics carry it, and either may be lost: the one that began later holds."""
        status, numbers = self.status, self.numbers
        if status is None or (numbers is not None and numbers.since > status.since):
            return numbers
        return status


@dataclass(frozen=True, slots=True)
class Device:
    """One device, a centre as a whole, or one shard of a centre."""

    name: str
    online: bool | None = None  # None: nothing was published about it
    offline_since_s: float | None = None  # None: it is not offline
    seen_s: float = LONG_AGO_S  # when it last sent something by itself; a last will is the broker's
    health: Health | None = None
    sources: tuple[Source, ...] = ()  # by name
    shards: tuple[tuple[int, Device], ...] = ()  # of a centre, by index; their sources are the centre's

    def is_deaf(self, source: Source) -> bool:
        """True if what hears a source is offline: the device, or its shard."""
        own = dict(self.shards).get(source.shard) if source.shard is not None else None
        return (self if own is None else own).online is False

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
        self._shards: dict[str, dict[int, Device]] = {}  # by device and index
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
            shard = None if isinstance(value, Status) else value.shard
            device = self._device(value.device, shard)
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
            if shard is None:
                self._devices[value.device] = device
            else:
                self._devices.setdefault(value.device, Device(value.device))
                self._shards.setdefault(value.device, {})[shard] = device

    def saw(self, device: str, now_s: float) -> None:
        """Note that a device has sent a detection."""
        with self._lock:
            if (found := self._device(device)) is not None:
                self._devices[device] = replace(found, seen_s=max(found.seen_s, now_s))

    def model_sha256(self, device: str, model: str) -> str | None:
        """Return the hash of a device's model; None: the device has not reported it."""
        with self._lock:
            known = [self._devices.get(device), *self._shards.get(device, {}).values()]
        hashes = (found.health.models.get(model) for found in known if found is not None and found.health is not None)
        return next(filter(None, hashes), None)

    def is_offline(self, device: str) -> bool:
        """True if a device, or each shard of a centre, is known to be offline."""
        with self._lock:
            found = self._devices.get(device)
            return found is not None and self._whole(found).online is False

    def snapshot(self) -> FleetSnapshot:
        """Return everything; devices and sources in the order of their names."""
        with self._lock:
            devices = sorted((name, self._whole(device)) for name, device in self._devices.items())
            sources = {name: list(own.values()) for name, own in self._sources.items()}
            left_out, revision = self._left_out, self._revision
        ordered = {name: tuple(sorted(own, key=lambda source: source.name)) for name, own in sources.items()}
        return FleetSnapshot(
            tuple(replace(device, sources=ordered.get(name, ())) for name, device in devices), left_out, revision
        )

    def _whole(self, device: Device) -> Device:
        """Return a device; a centre with what is known of all its shards."""
        shards = tuple(sorted(self._shards.get(device.name, {}).items()))
        return together(device, shards) if shards else device

    def _device(self, name: str, shard: int | None = None) -> Device | None:
        """Return a device or a shard of it, a new one too; None: it is left out, which is counted."""
        device = self._devices.get(name) if shard is None else self._shards.get(name, {}).get(shard)
        if device is None:
            is_new = name not in self._devices
            shards = sum(map(len, self._shards.values()))
            if (is_new and len(self._devices) >= self._max_devices) or (
                shard is not None and shards >= self._max_devices
            ):
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
        gone = [
            name
            for name, source in own.items()
            if name not in health.sources and _older(source, health.at) and source.shard in {None, health.shard}
        ]
        for name in gone:
            del own[name]
            self._count -= 1
        for name, numbers in health.sources.items():
            self._put(replace(self._source(health.device, name), numbers=numbers, shard=health.shard))

    def _remove(self, removed: Removed) -> None:
        if removed.source is None and removed.shard is not None:
            shards = self._shards.get(removed.device, {})
            if shards.pop(removed.shard, None) is None or shards:
                return
            del self._shards[removed.device]
        if removed.source is None and self._shards.get(removed.device):  # it was no centre before
            self._devices[removed.device] = Device(removed.device)
        elif removed.source is None:
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


def together(centre: Device, shards: tuple[tuple[int, Device], ...]) -> Device:
    """Return a centre with what its shards report: online while one of them is; numbers added, or the worst."""
    parts = [shard for _, shard in shards]
    known = [shard.online for shard in parts if shard.online is not None]
    online = any(known) if known else None
    offline_since_s = max(shard.offline_since_s or LONG_AGO_S for shard in parts) if online is False else None
    seen_s = max(centre.seen_s, *(shard.seen_s for shard in parts))
    reports = [shard.health for shard in parts if shard.health is not None]
    health = _one_report(reports) if reports else None
    return replace(centre, online=online, offline_since_s=offline_since_s, seen_s=seen_s, health=health, shards=shards)


def _one_report(reports: Sequence[Health]) -> Health:
    return replace(
        max(reports, key=lambda report: report.at),
        shard=None,
        started_at=min((report.started_at for report in reports if report.started_at), default=None),
        restarts=_sum(report.restarts for report in reports),
        cpu_percent=_sum(report.cpu_percent for report in reports),
        memory_mb=_sum(report.memory_mb for report in reports),
        temperature_c=max(
            (report.temperature_c for report in reports if report.temperature_c is not None), default=None
        ),
        disk_free_mb=min((report.disk_free_mb for report in reports if report.disk_free_mb is not None), default=None),
        outbox_messages=_sum(report.outbox_messages for report in reports),
        outbox_bytes=_sum(report.outbox_bytes for report in reports),
        outbox_oldest_s=max((report.outbox_oldest_s for report in reports if report.outbox_oldest_s), default=None),
        outbox_dropped=_sum(report.outbox_dropped for report in reports),
        outbox_trouble=next((report.outbox_trouble for report in reports if report.outbox_trouble), ""),
        models={name: sha256 for report in reports for name, sha256 in report.models.items()},
    )


def _sum(values: Iterable[Number | None]) -> Number | None:
    """Return the sum of those that are known; None: none is."""
    known = [value for value in values if value is not None]
    return sum(known[1:], known[0]) if known else None
