"""The live sink on a hub, run as the agent runs it: leased sources alone, notable scores, no thread while off."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from support.sinks import opened, running
from support.waiting import wait_until

from edgeaudio.agent.live_runner import LiveRunner
from edgeaudio.health.report import SinkState
from edgeaudio.hub import Hub, Subscription
from edgeaudio.sinks.live.config import LiveConfig
from edgeaudio.sinks.live.leases import MAX_SOURCES, Leases
from edgeaudio.sinks.live.sink import LEAST_SCORE, MAX_LABELS, LiveSink
from edgeaudio.types import Block, EpochEnd, LiveColumns, LiveScores, LiveSound, ModelInfo, Scores

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RATE = 8000
LABELS = ("dog", "siren", "a/b:c <img src=x onerror=alert(1)>")


def block(number: int = 0, source: str = "porch", seconds: float = 1.0) -> Block:
    samples = np.zeros(round(seconds * RATE), np.float32)
    return Block(source, 1, number * RATE, AT + timedelta(seconds=number), RATE, samples)


def scores(*values: float, source: str = "porch", model: str = "home") -> Scores:
    labels = LABELS if model == "home" else tuple(f"label{n}" for n in range(100))
    info = ModelInfo(
        labels, "0" * 64, onset_delay_s=1.0, offset_delay_s=1.0, longest_step_s=1.0, models={model: labels}
    )
    return Scores(source, model, AT, 0.0, 1.0, -30.0, np.array(values, np.float32) if values else None, info=info)


class Watched:
    """A hub with a live sink, and what that publishes."""

    def __init__(self, hub: Hub) -> None:
        self.leases = Leases()
        self.published: list[LiveColumns | LiveScores | LiveSound] = []
        self.sink = LiveSink(self.leases, Leases(), {}, self.published.append)
        self.leases.renew("porch", 60.0, time.monotonic())

    @property
    def scores(self) -> list[LiveScores]:
        return [item for item in self.published if isinstance(item, LiveScores)]

    @property
    def columns(self) -> list[LiveColumns]:
        return [item for item in self.published if isinstance(item, LiveColumns)]


def test_columns_and_scores_of_the_leased_source_alone_are_published() -> None:
    hub = Hub()
    watched = Watched(hub)
    with running(watched.sink, hub):
        opened(watched.sink, hub)
        for source in ("garden", "porch"):
            hub.publish(block(source=source))
            hub.publish(scores(0.9, 0.5, 0.0, source=source))
    assert {item.source for item in watched.published} == {"porch"}
    assert [packet.sequence for packet in watched.columns] == [0, 1, 2, 3]
    (found,) = watched.scores
    assert (found.model, found.at, found.duration_s) == ("home", AT, 1.0)
    assert list(found.scores) == ["dog", "siren"]


def test_nothing_more_comes_when_the_lease_ends_and_the_next_lease_has_a_stream_of_its_own() -> None:
    hub = Hub()
    watched = Watched(hub)
    watched.sink.open()
    watched.sink.handle(block(0))
    watched.leases.renew("porch", 0.0, time.monotonic())
    watched.sink.handle(block(1))
    watched.sink.handle(scores(0.9, 0.9, 0.9))
    assert len(watched.published) == 4
    watched.leases.renew("porch", 60.0, time.monotonic())
    watched.sink.handle(block(2))
    first, last = watched.columns[0], watched.columns[-1]
    assert (first.stream != last.stream, last.follows_gap) == (True, False)


def test_an_epoch_s_end_is_a_gap_and_one_of_a_source_unheard_of_is_nothing() -> None:
    watched = Watched(Hub())
    watched.sink.handle(EpochEnd("porch"))
    watched.sink.handle(block(0))
    watched.sink.handle(EpochEnd("porch"))
    watched.sink.handle(block(1))
    assert [packet.follows_gap for packet in watched.columns] == [False] * 4 + [True] + [False] * 3


def test_scores_over_the_least_are_published_the_best_first() -> None:
    watched = Watched(Hub())
    watched.sink.handle(scores(LEAST_SCORE, 0.06, 0.99))
    assert list(watched.scores[0].scores) == [LABELS[2], "siren"]
    watched.sink.handle(scores(*np.linspace(0.1, 0.9, 100), model="large"))
    assert list(watched.scores[1].scores) == [f"label{number}" for number in range(99, 99 - MAX_LABELS, -1)]


def test_a_clip_without_a_notable_score_is_not_published() -> None:
    watched = Watched(Hub())
    watched.sink.handle(scores())  # below the gate
    watched.sink.handle(scores(0.01, 0.02, 0.03))
    watched.sink.handle(scores(float("nan"), 0.0, 0.0))
    assert watched.published == []


class Session:
    """A live runner, and the threads that it started."""

    def __init__(self, *, audio: bool = True, unjudged: Sequence[str] = ()) -> None:
        self.hub = Hub()
        self.columns: Subscription = self.hub.subscribe("test", {LiveColumns})
        self.threads: list[threading.Thread] = []
        self.live = LiveRunner(
            self.hub, self._spawn, lambda: None, LiveConfig(audio=audio, never_with={}), lambda _source: unjudged
        )

    def _spawn(self, name: str, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, name=name)
        thread.start()
        self.threads.append(thread)
        return thread

    @property
    def takes_blocks(self) -> bool:
        return Block in self.hub._by_type

    def heard(self) -> list[object]:
        return self.columns.take(0)


def test_there_is_neither_a_thread_nor_a_subscription_while_nobody_watches() -> None:
    session = Session()
    live = session.live
    live.look_after(time.monotonic())
    assert (session.threads, session.takes_blocks) == ([], False)
    try:
        assert live.watch("porch", 60.0) == ""
        wait_until(lambda: session.takes_blocks)
        assert live.watch("porch", 60.0) == ""
        session.hub.publish(block())
        wait_until(lambda: len(session.heard()) > 0)
        assert live.watch("porch", 0.0) == ""
        wait_until(lambda: not session.threads[0].is_alive())
        assert not session.takes_blocks
        assert live.watch("porch", 60.0) == ""
        wait_until(lambda: session.takes_blocks)
        assert [thread.name for thread in session.threads] == ["sink-live"] * 2
        assert live.runner.numbers().state is SinkState.RUNNING
        # a lease that is not renewed ends, too
        live.look_after(time.monotonic() + 61.0)
        wait_until(lambda: not session.threads[1].is_alive())
    finally:
        live.stop()
        for thread in session.threads:
            thread.join(10)


def test_a_lease_that_begins_while_the_thread_ends_gets_another() -> None:
    session = Session()
    live = session.live
    try:
        live.watch("porch", 60.0)
        live.watch("porch", 0.0)
        live.watch("porch", 60.0)
        wait_until(lambda: not session.threads[0].is_alive())
        live.look_after(time.monotonic())
        wait_until(lambda: session.takes_blocks)
    finally:
        live.stop()
        for thread in session.threads:
            thread.join(10)


def test_sound_of_the_leased_source_alone_is_published_and_nothing_once_the_lease_ended() -> None:
    listened = Leases()
    published: list[object] = []
    sink = LiveSink(Leases(), listened, {}, published.append)
    listened.renew("porch", 60.0, time.monotonic())
    sink.open()
    for source in ("garden", "porch"):
        sink.handle(block(source=source))
        sink.handle(scores(0.9, 0.5, 0.0, source=source))
    assert {(type(item), item.source) for item in published if isinstance(item, LiveSound)} == {(LiveSound, "porch")}
    assert len(published) == 5
    listened.renew("porch", 0.0, time.monotonic())
    sink.handle(block(1))
    assert len(published) == 5
    listened.renew("porch", 60.0, time.monotonic())
    sink.handle(block(2))
    first, last = published[0], published[-1]
    assert isinstance(first, LiveSound)
    assert isinstance(last, LiveSound)
    assert first.stream != last.stream


def test_a_listener_is_refused_where_sound_is_off_or_cannot_be_judged() -> None:
    off = Session(audio=False)
    assert off.live.listen("porch", 60.0) == "live sound is switched off in the settings: set live.audio"
    unjudged = Session(unjudged=["speech" * 100])
    refusal = unjudged.live.listen("porch", 60.0)
    assert refusal.startswith("no model of porch has the label 'speechspeech")
    assert len(refusal) < 300
    assert (off.threads, unjudged.threads) == ([], [])


def test_listening_alone_has_a_thread_and_its_end_ends_it() -> None:
    session = Session()
    try:
        assert session.live.listen("porch", 60.0) == ""
        wait_until(lambda: session.takes_blocks)
        assert session.live.listen("porch", 0.0) == ""
        wait_until(lambda: not session.threads[0].is_alive())
        assert not session.takes_blocks
    finally:
        session.live.stop()
        for thread in session.threads:
            thread.join(10)


def test_a_source_that_is_no_more_leaves_the_places_of_its_view_and_its_sound() -> None:
    session = Session()
    live = session.live
    try:
        for number in range(MAX_SOURCES):
            assert live.watch(f"source-{number}", 60.0) == live.listen(f"source-{number}", 60.0) == ""
        assert live.watch("another", 60.0)
        live.unwatch("source-0")
        assert live.watch("another", 60.0) == live.listen("another", 60.0) == ""
    finally:
        live.stop()
        for thread in session.threads:
            thread.join(10)
