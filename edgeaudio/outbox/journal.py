"""The journal: events are written to the disk before they are published.

Owns: one transaction for events, their messages and the rows of open events; how an open event is stored.
Does not know: what a message looks like on the wire (`encode` is handed in), who sends it, threads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Event, Message

log = logging.getLogger(__name__)

Encode = Callable[[Event, str, int], Message]  # of an event, the epoch of its number, and its number


class Journal:
    """Commits events to the outbox."""

    def __init__(self, outbox: Outbox, encode: Encode) -> None:
        self._outbox = outbox
        self._encode = encode

    def commit(self, events: Sequence[Event]) -> int:
        """Write events, in order, in one transaction; return when they are on the disk, with the last one's number.

        The number is the outbox's, for `Outbox.holds`. Where the disk fails they are kept in memory instead (store.py).
        Never raises because of the disk.
        """
        epoch, first = self._outbox.number(len(events))
        last = self._outbox.add(
            [self._encode(event, epoch, seq) for seq, event in enumerate(events, first)],
            # a test detection ends with the process, and earlier versions cannot read an open one
            opened={event.id: store_event(event) for event in events if event.kind == "onset" and not event.test},
            closed=[event.id for event in events if event.kind == "offset"],
        )
        for event in events:
            # tests/chaos compares these lines with what the broker received
            log.debug("committed %s %s", event.kind, event.id)
        return last

    def open_events(self) -> list[Event]:
        """Return the onsets that have no offset, oldest first; one that cannot be read is logged and forgotten."""
        found = []
        for event_id, text in self._outbox.open_events().items():
            try:
                found.append(restore_event(text))
            except (ValueError, KeyError, TypeError):
                log.exception("the outbox holds an open event that cannot be read; it is forgotten")
                self._outbox.add([], closed=[event_id])
        return found


def store_event(event: Event) -> str:
    """Return an onset as the text that is stored until its offset.

    Newer fields are left out: an older edgeaudio, to which a device was rolled back, could not read them.
    """
    values = {
        "id": event.id,
        "kind": event.kind,
        "source": event.source,
        "model": event.model,
        "label": event.label,
        "score": event.score,
        "at": event.at.isoformat(),
        "duration_s": event.duration_s,
    }
    return json.dumps(values, allow_nan=False)


def restore_event(text: str) -> Event:
    """Parse what `store_event` returned. Raises ValueError, KeyError or TypeError on anything else."""
    values = json.loads(text)
    return Event(**{**values, "at": datetime.fromisoformat(values["at"])})


def interrupted(onset: Event) -> Event:
    """Return the offset of an event whose end was missed.

    Its end is the last moment that is known to belong to it, so its duration is a lower bound.
    """
    end = None if onset.offset_s is None else onset.offset_s + onset.duration_s
    at = onset.at + timedelta(seconds=onset.duration_s)
    return replace(onset, kind="offset", at=at, at_error_s=None, offset_s=end)
