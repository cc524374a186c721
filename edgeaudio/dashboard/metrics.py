"""`/metrics`: the whole fleet for Prometheus.

Owns: the names, units and help of all series, which devices have any, and their number. The only importer of
prometheus_client. Does not know: HTTP, where the values come from.

Names follow Prometheus: base units, `_total` for what only grows, and `_timestamp_seconds` for moments. No label holds
an id. A device that has been offline for five minutes, or was removed, has no series. Beyond MAX_SERIES those that come
last are left out and counted: the order is this process, devices, sources, detections by label.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from edgeaudio.dashboard.fleet import Device, Source
from edgeaudio.dashboard.recorder import RecorderNumbers
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.version import __version__
from edgeaudio.wire.payloads import KINDS

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
MAX_SERIES = 50_000
GONE_AFTER_S = 300.0
_DEVICE: Final = ("device",)
_SHARD: Final = ("device", "shard")
_SOURCE: Final = ("device", "source")
_MB: Final = 1e6

Value = float | int | None
# name, help, whether it only grows, and its value
_OfDevice = tuple[str, str, bool, Callable[[Device], Value]]
_OfSource = tuple[str, str, bool, Callable[[Source], Value]]


def _of_health(name: str, factor: float = 1.0) -> Callable[[Device], Value]:
    def value(device: Device) -> Value:
        number = None if device.health is None else getattr(device.health, name)
        return None if number is None else number * factor

    return value


def _of_numbers(name: str) -> Callable[[Source], Value]:
    return lambda source: None if source.numbers is None else getattr(source.numbers, name)


def _unless_zero(name: str) -> Callable[[Source], Value]:
    """Return a number that few sources have: a fleet has no room for thousands of series of 0."""
    return lambda source: (getattr(source.numbers, name) or None) if source.numbers else None


def _started_at(device: Device) -> Value:
    started_at = device.health.started_at if device.health else None
    return None if started_at is None else started_at.timestamp()


def _oldest_s(device: Device) -> Value:
    """Return the age of the oldest waiting message; an empty outbox has age 0, so that the series goes on."""
    return None if device.health is None else device.health.outbox_oldest_s or 0.0


def _since(source: Source) -> Value:
    return None if source.newest is None else source.newest.since.timestamp()


_DEVICES: Final[tuple[_OfDevice, ...]] = (
    ("edgeaudio_device_up", "1 while the broker has the device's connection, else 0.", False, lambda d: d.online),
    (
        "edgeaudio_device_last_seen_timestamp_seconds",
        "When the device last sent something, Unix time.",
        False,
        lambda d: d.seen_s or None,
    ),
    ("edgeaudio_device_start_timestamp_seconds", "When the agent started, Unix time.", False, _started_at),
    ("edgeaudio_device_restarts_total", "Restarts of the agent.", True, _of_health("restarts")),
    ("edgeaudio_device_cpu_ratio", "CPU of the agent; 1 is one core.", False, _of_health("cpu_percent", 0.01)),
    ("edgeaudio_device_memory_bytes", "Resident memory of the agent.", False, _of_health("memory_mb", _MB)),
    ("edgeaudio_device_temperature_celsius", "Temperature of the board.", False, _of_health("temperature_c")),
    ("edgeaudio_device_disk_free_bytes", "Free space of the agent's disk.", False, _of_health("disk_free_mb", _MB)),
    (
        "edgeaudio_outbox_messages",
        "Detections that the broker has not acknowledged.",
        False,
        _of_health("outbox_messages"),
    ),
    ("edgeaudio_outbox_bytes", "Size of these detections.", False, _of_health("outbox_bytes")),
    ("edgeaudio_outbox_oldest_seconds", "Age of the oldest of them; 0: there is none.", False, _oldest_s),
    (
        "edgeaudio_outbox_dropped_total",
        "Detections dropped at a limit of the outbox, since the agent's start.",
        True,
        _of_health("outbox_dropped"),
    ),
)
_SOURCES: Final[tuple[_OfSource, ...]] = (
    ("edgeaudio_source_state_since_timestamp_seconds", "When the state began, Unix time.", False, _since),
    ("edgeaudio_source_heard_seconds_total", "Sound heard since the source began.", True, _of_numbers("heard_s")),
    ("edgeaudio_source_lost_seconds_total", "Sound lost since the source began.", True, _of_numbers("lost_s")),
    ("edgeaudio_source_lag_seconds", "Sound received and not yet recognised.", False, _of_numbers("lag_s")),
    ("edgeaudio_source_snoozed_labels", "Labels that are snoozed; none: no series.", False, _unless_zero("snoozed")),
    (
        "edgeaudio_source_withheld_total",
        "Sounds that snoozes and cooldowns withheld; none: no series.",
        True,
        _unless_zero("withheld"),
    ),
)


class _Budget:
    """Series that may still be added."""

    def __init__(self, series: int) -> None:
        self.left = series
        self.left_out = 0

    def add(self, family: Metric, labels: Sequence[str], value: Value) -> None:
        if value is None:
            return
        if self.left <= 0:
            self.left_out += 1
            return
        self.left -= 1
        family.add_metric(labels, float(value))  # type: ignore[attr-defined]  # of both kinds that are used here


def _family(name: str, text: str, labels: Sequence[str], *, grows: bool) -> Metric:
    if grows:
        return CounterMetricFamily(name, text, labels=labels)
    return GaugeMetricFamily(name, text, labels=labels)


class FleetCollector(Collector):
    """Yields all metric families, with the values of the moment."""

    def __init__(
        self, dashboard: Dashboard, *, max_series: int = MAX_SERIES, clock: Callable[[], float] = time.time
    ) -> None:
        self._dashboard = dashboard
        self._max_series = max_series
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the families, each once."""
        fleet, numbers = self._dashboard.fleet.snapshot(), self._dashboard.recorder.numbers()
        now_s = self._clock()
        devices = [device for device in fleet.devices if not device.is_gone(now_s, GONE_AFTER_S)]
        shown = {device.name for device in devices}  # the history knows devices that are no more
        gone = {
            (each.name, index) for each in devices for index, own in each.shards if own.is_gone(now_s, GONE_AFTER_S)
        }
        sources = [own for device in devices for own in device.sources if (device.name, own.shard) not in gone]
        budget = _Budget(self._max_series)
        yield from self._of_this_process(budget, numbers, len(fleet.devices), fleet.left_out)
        for name, text, grows, of_device in _DEVICES:
            family = _family(name, text, _DEVICE, grows=grows)
            for device in devices:
                budget.add(family, (device.name,), of_device(device))
            yield family
        yield from _of_versions(budget, devices)
        yield from _of_shards(budget, devices)
        missing = _family(
            "edgeaudio_detections_missing", "Numbers of detections that did not arrive.", _DEVICE, grows=False
        )
        not_arrived: Counter[str] = Counter()
        for name, sequence in numbers.sequences.items():
            not_arrived[name.partition("/")[0]] += sequence.missing  # a shard's counter is named DEVICE/INDEX
        for name in sorted(not_arrived):
            if name in shown:
                budget.add(missing, (name,), not_arrived[name])
        yield missing
        yield from _of_states(budget, sources)
        for name, text, grows, of_source in _SOURCES:
            family = _family(name, text, _SOURCE, grows=grows)
            for source in sources:
                budget.add(family, (source.device, source.name), of_source(source))
            yield family
        detections = _family(
            "edgeaudio_detections_total", "Sounds that began, without tests.", (*_SOURCE, "label"), grows=True
        )
        for (name, source_name, label), count in sorted(numbers.onsets.items()):
            if name in shown:
                budget.add(detections, (name, source_name, label), count)
        yield detections
        left_out = _family("edgeaudio_dashboard_series_left_out", "Series beyond the limit.", (), grows=False)
        left_out.add_metric((), float(budget.left_out + numbers.uncounted))  # type: ignore[attr-defined]
        yield left_out

    def _of_this_process(
        self, budget: _Budget, numbers: RecorderNumbers, devices: int, left_out: int
    ) -> Iterator[Metric]:
        connections, media = self._dashboard.connections, self._dashboard.media.numbers()
        up = _family(
            "edgeaudio_broker_up", "1 while the subscription is granted, else 0.", ("subscription",), grows=False
        )
        budget.add(up, ("detections",), connections.detections)
        budget.add(up, ("state",), connections.state)
        budget.add(up, ("media",), connections.media)
        yield up
        refused = _family(
            "edgeaudio_dashboard_refused_messages_total", "Messages that break the contract.", ("topic",), grows=True
        )
        for topic in sorted(KINDS):
            budget.add(refused, (topic,), self._dashboard.refused.get(topic, 0))
        yield refused
        for name, text, grows, value in (
            ("edgeaudio_dashboard_devices", "Devices that are known, offline ones included.", False, devices),
            (
                "edgeaudio_dashboard_waiting_detections",
                "Detections that are not in the history yet.",
                False,
                numbers.waiting,
            ),
            ("edgeaudio_dashboard_unstored_detections_total", "Detections that never will be.", True, numbers.unstored),
            (
                "edgeaudio_dashboard_clips_files",
                "Clips and pictures that are kept.",
                False,
                media.files,
            ),
            ("edgeaudio_dashboard_clips_bytes", "Room that they take on the disk.", False, media.bytes),
            ("edgeaudio_dashboard_clips_lost_total", "Clips and pictures that could not be kept.", True, media.lost),
            (
                "edgeaudio_dashboard_left_out_messages_total",
                "Messages of devices and sources beyond the limits.",
                True,
                left_out,
            ),
        ):
            family = _family(name, text, (), grows=grows)
            budget.add(family, (), value)
            yield family
        info = _family("edgeaudio_dashboard_info", "Version of this process.", ("version",), grows=False)
        budget.add(info, (__version__,), 1)
        yield info


def _of_versions(budget: _Budget, devices: Sequence[Device]) -> Iterator[Metric]:
    family = _family("edgeaudio_device_info", "Version of the agent.", ("device", "version"), grows=False)
    for device in devices:
        if device.health is not None and device.health.version:
            budget.add(family, (device.name, device.health.version), 1)
    yield family


def _of_shards(budget: _Budget, devices: Sequence[Device]) -> Iterator[Metric]:
    up = _family("edgeaudio_shard_up", "1 while the broker has the shard's connection, else 0.", _SHARD, grows=False)
    waiting = _family(
        "edgeaudio_shard_outbox_messages", "Detections of a shard that wait for the broker.", _SHARD, grows=False
    )
    for device in devices:
        for index, shard in device.shards:
            budget.add(up, (device.name, str(index)), shard.online)
            budget.add(waiting, (device.name, str(index)), shard.health.outbox_messages if shard.health else None)
    yield up
    yield waiting


def _of_states(budget: _Budget, sources: Sequence[Source]) -> Iterator[Metric]:
    """Yield one series a source, of the state that it is in: eleven each would be most of the limit."""
    family = _family(
        "edgeaudio_source_state", "1 for the state that the source is in.", (*_SOURCE, "state", "reason"), grows=False
    )
    for source in sources:
        if (newest := source.newest) is not None:
            budget.add(family, (source.device, source.name, newest.state, newest.reason or ""), 1)
    yield family


class Metrics:
    """The page of all series."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(FleetCollector(dashboard))

    def render(self) -> bytes:
        """Return the text of all series; takes a second for the largest fleet, so not in an event loop."""
        return generate_latest(self._registry)
