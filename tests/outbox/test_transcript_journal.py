"""The journal of transcripts: each is sent once, whenever the process is killed."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from edgeaudio.outbox.outbox import Outbox
from edgeaudio.outbox.transcript_journal import MAX_IDS, TranscriptJournal
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Transcript

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
ENCODE = partial(messages.transcript, Topics("edgeaudio", "dock"))


def transcript(utterance_id: str) -> Transcript:
    return Transcript(utterance_id, "porch", AT, 1.5, "good evening", "en", 0.9, "whisper")


def sent(outbox: Outbox) -> list[str]:
    return [json.loads(stored.message.payload)["id"] for stored in outbox.pending(1000)]


def test_a_transcript_goes_to_the_outbox_and_is_known(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        journal = TranscriptJournal(outbox, ENCODE)
        assert not journal.is_committed("a")
        journal.commit(transcript("a"))
        assert journal.is_committed("a")
        (stored,) = outbox.pending(10)
        assert (stored.message.topic, stored.message.qos, stored.message.retain) == (
            "edgeaudio/dock/porch/transcript", 1, False,
        )  # fmt: skip


def test_a_process_that_was_killed_before_it_removed_the_file_sends_nothing_twice(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        TranscriptJournal(outbox, ENCODE).commit(transcript("a"))
        outbox.delete([stored.seq for stored in outbox.pending(10)])  # the broker has it
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        journal = TranscriptJournal(outbox, ENCODE)
        assert journal.is_committed("a")
        journal.commit(transcript("a"))
        assert sent(outbox) == []
        journal.forget("a")  # the file is gone
        journal.commit(transcript("b"))
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        journal = TranscriptJournal(outbox, ENCODE)
        assert (journal.is_committed("a"), journal.is_committed("b"), sent(outbox)) == (False, True, ["b"])


def test_transcripts_leave_half_of_the_outbox_to_detections(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.sqlite", max_messages=4)) as outbox:
        journal = TranscriptJournal(outbox, ENCODE)
        held_up = []
        for each in "abc":
            journal.commit(transcript(each))
            held_up.append(journal.is_held_up)
        outbox.delete([stored.seq for stored in outbox.pending(2)])
        assert [*held_up, journal.is_held_up] == [False, True, True, False]
    with closing(Outbox(tmp_path / "other.sqlite", max_bytes=400)) as outbox:
        journal = TranscriptJournal(outbox, ENCODE)
        journal.commit(transcript("a"))
        assert outbox.stats().dropped == 0
        assert journal.is_held_up


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        journal = TranscriptJournal(outbox, ENCODE)
        for number in range(MAX_IDS + 5):
            journal.commit(transcript(str(number)))
        assert not journal.is_committed("4")
        assert journal.is_committed("5")
        journal.forget("unknown")
