"""Withheld events in the recogniser: they reach neither the journal nor the hub, also where recognition fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from edgeaudio.agent.recogniser import Recogniser
from edgeaudio.agent.source_worker import SourceWorker
from edgeaudio.hub import Hub
from edgeaudio.outbox.journal import Journal
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.recognise.suppression import Suppressor
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Block, EpochEnd, Event

AT = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = Topics("edgeaudio", "dock")
BLOCK = Block("porch", 0, 0, AT, 8000, np.zeros(8, np.float32))


def onset(event_id: str, label: str) -> Event:
    return Event(event_id, "onset", "porch", "home", label, 0.9, AT, 0.5)


class FailingPipeline:
    """Begins an event of each label, then raises; cannot end them."""

    def feed(self, _block: Block) -> Iterator[Event]:
        yield onset("1", "dog")
        yield onset("2", "cat")
        raise RuntimeError("broken")

    def end(self) -> Iterator[Event]:
        raise RuntimeError("broken too")


def test_a_withheld_event_is_not_ended_when_the_recognition_of_its_source_fails(tmp_path: Path):
    hub, outbox = Hub(), Outbox(tmp_path / "outbox.sqlite")
    blocks = hub.subscribe("recogniser", {Block, EpochEnd})
    heard = hub.subscribe("test", {Event})

    def encode(event: Event, seq_epoch: str, seq: int) -> Any:
        return messages.detection(TOPICS, event, seq_epoch=seq_epoch, seq=seq)

    recogniser = Recogniser(blocks, Journal(outbox, encode), hub, lambda _status: None)
    suppressor = Suppressor({"cat": 60.0})
    suppressor.snoozed = frozenset({"dog"})
    worker = SimpleNamespace(
        name="porch", pipeline=FailingPipeline(), suppressor=suppressor, events=0, fail=lambda _error: None,
        renew_pipeline=suppressor.forget_withheld,
    )  # fmt: skip
    recogniser.workers["porch"] = cast("SourceWorker", worker)
    hub.publish(BLOCK)
    stop = threading.Event()
    thread = threading.Thread(target=recogniser.run, args=(stop,))
    thread.start()
    found: list[Event] = []
    while len(found) < 2:
        taken = heard.take(5.0)
        assert taken, "no event"
        found += [item for item in taken if isinstance(item, Event)]
    suppressor.snoozed = frozenset()
    hub.publish(EpochEnd("other"))  # one more turn, in which nothing is released
    stop.set()
    blocks.wake()
    thread.join(10)
    assert [(event.id, event.kind) for event in found] == [("2", "onset"), ("2", "offset")]
    assert (worker.events, outbox.stats().depth, outbox.open_events()) == (1, 2, {})
    # the end of what was published began the cooldown
    assert suppressor.released(0.0) == []
    assert suppressor.withhold(onset("3", "cat"), 0.0) is not None
    outbox.close()
