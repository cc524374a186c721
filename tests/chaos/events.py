"""Comparison of events that were committed with those that a subscriber received."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_COMMITTED = re.compile(r"committed (onset|offset) ([0-9a-f-]{36})")
Key = tuple[str, str]  # id, kind


class Receiver(Protocol):
    """The part of a subscriber that the comparison needs."""

    def detections(self) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Books:
    """Numbers of events committed, received, missing, repeated and out of order."""

    committed: int  # that the log speaks of
    received: int  # different ones
    repeated: int  # received more than once, as the contract allows
    faults: tuple[str, ...]  # what must not be

    @property
    def line(self) -> str:
        return f"{self.committed} committed, {self.received} received, {self.repeated} of them repeated"


def committed(log: Path) -> list[Key]:
    """Return (id, kind) of every event that an agent's debug log has as committed, in order."""
    return [(found[2], found[1]) for found in _COMMITTED.finditer(log.read_text(errors="replace"))]


def compare(promised: Sequence[Key], listener: Receiver) -> Books:
    """Compare what a subscriber received with what was committed."""
    detections = listener.detections()
    got = [(event["id"], event["kind"]) for event in detections]
    first = list(dict.fromkeys(got))
    faults = []
    if missing := set(promised) - set(first):
        faults.append(f"{len(missing)} committed events were not received")
    place = {key: number for number, key in enumerate(first)}
    places = [place[key] for key in promised if key in place]
    if places != sorted(places):
        faults.append("events were received in another order than they were committed in")
    names: dict[tuple[str, str, str], set[str]] = {}
    for event in detections:
        if event["kind"] == "onset":
            names.setdefault((event["source"], event["label"], event["at"]), set()).add(event["id"])
    if twice := [key for key, ids in names.items() if len(ids) > 1]:
        faults.append(f"{len(twice)} events were received under two ids")
    for event_id, kind in first:
        if kind == "offset" and place.get((event_id, "onset"), len(first)) > place[event_id, "offset"]:
            faults.append(f"the offset of {event_id} came before its onset")
    return Books(len(promised), len(first), len(got) - len(first), tuple(faults))
