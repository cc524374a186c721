"""What commands may change at the sources whose controls somebody looks at: switch, thresholds, snoozes, cooldowns.

Owns: which sources those are, what is known of each, and the bounds on both.
Does not know: MQTT (control_feed.py), HTTP. Safe for any thread; times are monotonic seconds, handed in.

A fleet has hundreds of thousands of thresholds, and nobody looks at more than a few sources: only of those is anything
kept, for VISIT_S after somebody looked last.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, TypeAlias

from edgeaudio.dashboard.control_wire import Enabled, LabelSetting, Setting

MAX_SOURCES: Final = 50  # that are looked at
MAX_LABELS: Final = 1_000  # of a source
VISIT_S: Final = 15.0

SourceKey: TypeAlias = tuple[str, str]  # device and source


@dataclass(frozen=True, slots=True)
class LabelControls:
    """What is in force for a label; None: not known, or none."""

    threshold: float | None = None
    snoozed_until: datetime | None = None
    cooldown_s: float | None = None


@dataclass(frozen=True, slots=True)
class SourceControls:
    """What is known of one source."""

    revision: int = 0  # another number with every change
    subscribed: bool = False  # the broker has granted it, so what is retained comes
    trouble: str = ""  # why nothing comes
    enabled: bool | None = None
    labels: Mapping[str, LabelControls] = field(default_factory=dict)  # by slug
    left_out: int = 0  # messages about labels beyond the bound


class Controls:
    """All of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: dict[SourceKey, SourceControls] = {}
        self._visited_s: dict[SourceKey, float] = {}
        self._revision = 0

    def visit(self, key: SourceKey, now_s: float) -> SourceControls | None:
        """Note that somebody looks at a source now; return what is known of it, None: too many are looked at."""
        with self._lock:
            self._forget_unvisited(now_s)
            if key not in self._sources:
                if len(self._sources) >= MAX_SOURCES:
                    return None
                self._put(key, SourceControls())
            self._visited_s[key] = now_s
            return self._sources[key]

    def visited(self, now_s: float) -> list[SourceKey]:
        """Return what somebody looks at."""
        with self._lock:
            self._forget_unvisited(now_s)
            return list(self._sources)

    def begin(self, key: SourceKey) -> None:
        """Forget what is known of a source: what is retained comes again."""
        with self._lock:
            if key in self._sources:
                self._put(key, SourceControls())

    def subscribed(self, key: SourceKey) -> None:
        """Note that the broker has granted the subscription."""
        with self._lock:
            if key in self._sources:
                self._put(key, replace(self._sources[key], subscribed=True))

    def report(self, key: SourceKey, trouble: str) -> None:
        """Note why nothing comes of a source."""
        with self._lock:
            if key in self._sources and self._sources[key].trouble != trouble:
                self._put(key, replace(self._sources[key], trouble=trouble))

    def update(self, value: Setting) -> None:
        """Take what came; nothing is kept of a source that nobody looks at."""
        key = value.device, value.source
        with self._lock:
            if (known := self._sources.get(key)) is None:
                return
            if isinstance(value, Enabled):
                self._put(key, replace(known, enabled=value.on))
                return
            own = known.labels.get(value.label)
            if own is None and len(known.labels) >= MAX_LABELS:
                self._put(key, replace(known, left_out=known.left_out + 1))
                return
            changed = _changed(own or LabelControls(), value)
            labels = {**known.labels, value.label: changed}
            if changed == LabelControls():
                del labels[value.label]
            self._put(key, replace(known, labels=labels))

    def _forget_unvisited(self, now_s: float) -> None:
        for key in [key for key, visited_s in self._visited_s.items() if now_s - visited_s > VISIT_S]:
            del self._sources[key], self._visited_s[key]

    def _put(self, key: SourceKey, controls: SourceControls) -> None:
        self._revision += 1
        self._sources[key] = replace(controls, revision=self._revision)


def _changed(label: LabelControls, setting: LabelSetting) -> LabelControls:
    value = setting.value
    if setting.kind == "snooze":
        return replace(label, snoozed_until=value if isinstance(value, datetime) else None)
    number = None if isinstance(value, datetime) else value
    return replace(label, threshold=number) if setting.kind == "threshold" else replace(label, cooldown_s=number)
