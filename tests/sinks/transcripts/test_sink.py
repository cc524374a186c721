"""The sink: what is said at sources that are transcribed is queued, whole and once, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from support.sinks import opened, running
from support.spoken import AT, RATE, LoudPipeline, block
from support.waiting import wait_until

from edgeaudio.health.report import SinkState
from edgeaudio.hub import Hub
from edgeaudio.sinks.transcripts.errors import TranscriptsError
from edgeaudio.sinks.transcripts.sink import TranscriptsSink
from edgeaudio.sinks.transcripts.source_speech import HOLD_S
from edgeaudio.sinks.transcripts.utterance_file import QueuedUtterance
from edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue
from edgeaudio.types import Channel, EpochEnd, Level, Utterance

LOUD, QUIET = 0.5, 0.0


def sink_in(folder: Path, *sources: str) -> tuple[TranscriptsSink, UtteranceQueue]:
    queue = UtteranceQueue(folder, max_bytes=10**8, max_age_s=1e9, min_free_bytes=0)
    sink = TranscriptsSink(queue, LoudPipeline, UUID(int=5))
    sink.sources = frozenset(sources or ("porch",))
    return sink, queue


def waiting(queue: UtteranceQueue) -> list[QueuedUtterance]:
    found = [queue.take(each) for each in queue.ids()]
    assert None not in found
    return [each for each in found if each is not None]


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[TranscriptsSink]:
    made, _ = sink_in(tmp_path)
    made.open()
    yield made
    made.close()


def level(second: int, heard: Channel, source: str = "porch") -> Level:
    at = block(second, 0.0).at
    return Level(source, at, 1.0, -20.0, -20.0, 0.0, 0.0, heard=heard)


def lengths(sink: TranscriptsSink) -> list[tuple[float, float]]:
    """Return where what waits begins, since AT, and its length in seconds."""
    return [((each.at - AT).total_seconds(), each.duration_s) for each in waiting(sink._queue)]


def test_what_is_said_is_queued_when_it_ends(sink: TranscriptsSink) -> None:
    for second, value in enumerate([QUIET, LOUD, LOUD]):
        sink.handle(block(second, value))
    assert lengths(sink) == []
    sink.handle(block(3, QUIET))
    assert lengths(sink) == [(1.0, 2.0)]
    assert (sink.heard, sink.lost) == (1, 0)


def test_of_two_who_speak_at_the_end_one_that_cannot_be_kept_takes_not_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink, queue = sink_in(tmp_path, "porch", "attic", "yard")
    sink.open()
    for source in ("porch", "attic", "yard"):
        sink.handle(block(0, LOUD, source))
    put = queue.put

    def full_for_a_moment(utterance_id: str, utterance: Utterance) -> None:
        if utterance.source == "porch":
            raise TranscriptsError("the disk is full")
        put(utterance_id, utterance)

    monkeypatch.setattr(queue, "put", full_for_a_moment)
    with pytest.raises(TranscriptsError, match="full"):
        sink.close()
    assert sorted(each.source for each in waiting(queue)) == ["attic", "yard"]
    assert (sink.heard, sink.lost) == (3, 1)


def test_the_id_is_that_of_the_sound(tmp_path: Path) -> None:
    ids = []
    for folder in "ab":
        sink, queue = sink_in(tmp_path / folder)
        sink.open()
        for second, value in enumerate([LOUD, QUIET, LOUD, QUIET]):
            sink.handle(block(second, value))
        ids.append(queue.ids())
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 2


def test_sources_that_are_not_transcribed_are_not_looked_at(sink: TranscriptsSink) -> None:
    sink.handle(block(0, LOUD, "attic"))
    sink.handle(EpochEnd("attic"))
    sink.handle(level(0, "mix", "attic"))
    assert not sink._speech
    assert sink.heard == 0


def test_what_is_being_said_is_queued_where_the_sound_ends(sink: TranscriptsSink) -> None:
    sink.handle(block(0, LOUD))
    sink.handle(EpochEnd("porch"))
    assert lengths(sink) == [(0.0, 1.0)]
    sink.handle(EpochEnd("porch"))
    sink.handle(block(7, LOUD, epoch=1))
    sink.handle(block(0, QUIET, epoch=2))
    assert lengths(sink) == [(0.0, 1.0), (7.0, 1.0)]


def test_what_is_being_said_when_the_agent_stops_waits_for_its_next_start(tmp_path: Path) -> None:
    sink, _ = sink_in(tmp_path)
    sink.open()
    sink.handle(block(0, LOUD))
    sink.close()
    later, _ = sink_in(tmp_path)
    later.open()
    assert lengths(later) == [(0.0, 1.0)]


def test_nothing_is_joined_over_sound_that_was_dropped(sink: TranscriptsSink) -> None:
    for second in (0, 1, 5, 6):
        sink.handle(block(second, LOUD))
    sink.handle(block(7, QUIET))
    assert lengths(sink) == [(0.0, 2.0), (5.0, 2.0)]


def test_several_channels_wait_for_the_one_that_is_recognised(sink: TranscriptsSink) -> None:
    """With one microphone inverted the mean is silent; recognition takes a channel then, and says so a second late."""
    for second, value in enumerate([(LOUD, -LOUD), (LOUD, -LOUD)]):
        sink.handle(block(second, value))
    sink.handle(level(0, 2))
    sink.handle(block(2, (LOUD, -LOUD)))
    sink.handle(block(3, (QUIET, QUIET)))
    assert lengths(sink) == [(0.0, 3.0)]
    (found,) = waiting(sink._queue)
    assert np.allclose(found.samples, -LOUD, atol=1e-4)


def test_without_levels_it_is_the_mean_after_a_while(sink: TranscriptsSink) -> None:
    for second in range(int(HOLD_S) + 1):
        sink.handle(block(second, (LOUD, 0.1)))
    sink.handle(EpochEnd("porch"))
    (found,) = waiting(sink._queue)
    assert found.duration_s == HOLD_S + 1
    assert np.allclose(found.samples, (LOUD + 0.1) / 2, atol=1e-4)


def test_what_was_held_is_not_lost_where_the_sound_ends(sink: TranscriptsSink) -> None:
    sink.handle(block(0, (LOUD, LOUD)))
    sink.handle(EpochEnd("porch"))
    assert lengths(sink) == [(0.0, 1.0)]


def test_the_channel_follows_recognition(sink: TranscriptsSink) -> None:
    sink.handle(block(0, (QUIET, QUIET)))
    sink.handle(level(0, "mix"))
    sink.handle(block(1, (LOUD, QUIET)))
    sink.handle(level(1, 2))
    sink.handle(block(2, (LOUD, QUIET)))
    assert lengths(sink) == [(1.0, 1.0)]


def test_a_source_of_which_transcribing_ended_leaves_nothing(tmp_path: Path) -> None:
    sink, queue = sink_in(tmp_path, "porch", "attic")
    sink.open()
    for name in ("porch", "attic"):
        for second, value in enumerate([LOUD, QUIET, LOUD]):
            sink.handle(block(second, value, name))
    sink.sources = frozenset({"attic"})
    sink.tick()
    assert [each.source for each in waiting(queue)] == ["attic"]
    sink.handle(block(3, QUIET, "porch"))
    sink.close()
    assert [each.source for each in waiting(queue)] == ["attic", "attic"]
    assert sink.lost == 0


def test_a_disk_that_fails_is_counted_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink, queue = sink_in(tmp_path)
    hub = Hub()
    with running(sink, hub) as runner:
        opened(sink, hub)
        with monkeypatch.context() as patch:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(os, "fsync", full)
            hub.publish(block(0, LOUD))
            hub.publish(block(1, QUIET))
            wait_until(lambda: runner.numbers().failures)
            assert runner.numbers().lost == 1
            assert "No space left on device" in runner.numbers().detail
        wait_until(lambda: runner.numbers().state is SinkState.RUNNING)
        opened(sink, hub)
        hub.publish(block(2, LOUD))
        hub.publish(block(3, QUIET))
        wait_until(lambda: block(2, LOUD).at in {each.at for each in waiting(queue)})


def test_samples_of_any_rate_go_through(tmp_path: Path) -> None:
    sink, _ = sink_in(tmp_path)
    sink.open()
    sink.handle(block(0, LOUD))
    other = replace(block(0, LOUD, epoch=1), sample_rate=RATE // 2)
    sink.handle(other)
    sink.handle(EpochEnd("porch"))
    assert sink.heard == 2
