"""The journal: events are on the disk before they are published, and open ones are known after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgeaudio.outbox.journal import Journal, interrupted, restore_event, store_event
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Event, Message

AT = datetime(2026, 11, 20, 12, 30, 15, 123_999, UTC)
ONSET = Event(
    "e1", "onset", "porch", "alarms", "smoke alarm", 0.912345, AT, 1.0249, at_error_s=0.25, epoch=3, offset_s=12.5
)
OFFSET = replace(ONSET, kind="offset")
# what is restored of a stored event
STORED = replace(ONSET, at_error_s=None, epoch=None, offset_s=None)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(tmp_path / "outbox.db")
    yield outbox
    outbox.close()


def journal_of(outbox: Outbox) -> Journal:
    def encode(event: Event, epoch: str, seq: int) -> Message:
        return Message("t", f"{event.id} {event.kind} {seq} {bool(epoch)}".encode())

    return Journal(outbox, encode)


def test_events_are_written_in_order_and_numbered(outbox: Outbox):
    journal_of(outbox).commit([ONSET, OFFSET])
    journal_of(outbox).commit([replace(ONSET, id="e2")])
    payloads = [stored.message.payload for stored in outbox.pending(10)]
    assert payloads == [b"e1 onset 1 True", b"e1 offset 2 True", b"e2 onset 3 True"]


def test_an_onset_is_open_until_its_offset(outbox: Outbox):
    journal = journal_of(outbox)
    journal.commit([ONSET])
    assert journal.open_events() == [STORED]
    journal.commit([OFFSET])
    assert journal.open_events() == []


def test_an_open_event_survives_a_restart(outbox: Outbox, tmp_path: Path):
    journal_of(outbox).commit([ONSET])
    outbox.close()
    again = Outbox(tmp_path / "outbox.db")
    try:
        assert journal_of(again).open_events() == [STORED]
    finally:
        again.close()


def test_a_test_is_never_open(outbox: Outbox):
    journal = journal_of(outbox)
    journal.commit([replace(ONSET, test=True)])
    assert journal.open_events() == []


def test_an_open_event_that_cannot_be_read_is_forgotten(outbox: Outbox, caplog: pytest.LogCaptureFixture):
    outbox.add([], opened={"e0": '{"id": "e0", "kind": "onset", "colour": 1}', "e1": store_event(ONSET), "e2": "["})
    journal = journal_of(outbox)
    assert journal.open_events() == [STORED]
    assert caplog.text.count("cannot be read") == 2
    assert list(outbox.open_events()) == ["e1"]


def test_an_older_and_a_newer_edgeaudio_read_each_others_stored_events():
    stored = (
        '{"id": "e1", "kind": "onset", "source": "porch", "model": "alarms", "label": "smoke alarm", '
        '"score": 0.912345, "at": "2026-11-20T12:30:15.123999+00:00", "duration_s": 1.0249}'
    )
    assert store_event(ONSET) == stored
    assert restore_event(stored) == STORED


def test_an_interrupted_event_ends_when_it_was_last_heard():
    offset = interrupted(ONSET)
    assert (offset.id, offset.kind, offset.duration_s) == ("e1", "offset", ONSET.duration_s)
    assert offset.at == AT + timedelta(seconds=ONSET.duration_s)
    assert offset.offset_s == pytest.approx(12.5 + ONSET.duration_s)
    # its true end is unknown
    assert offset.at_error_s is None
    assert interrupted(STORED).offset_s is None
