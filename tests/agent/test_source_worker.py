"""A source of an agent by itself: its epochs over all of its readers, and its state before a reader has spoken."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio.agent.source_worker import SourceWorker, WorkerContext
from edgeaudio.capture.admission import Admission
from edgeaudio.clock import Clock
from edgeaudio.hub import Hub, Subscription
from edgeaudio.settings import load_settings
from edgeaudio.types import Block, EpochEnd, Reason, SourceState
from edgeaudio.wiring import source_config

NOON = datetime(2026, 11, 30, 12)  # noqa: DTZ001 - local time of day
Spawn = Callable[[str, Callable[[], None]], threading.Thread]


def begin(_: str, run: Callable[[], None]) -> threading.Thread:
    """Start a thread, as an agent does."""
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def heard(hub: Hub) -> Subscription:
    return hub.subscribe("test", {Block, EpochEnd})


@pytest.fixture
def worker_of(tmp_path: Path, hub: Hub, heard: Subscription) -> Callable[[Spawn], SourceWorker]:
    """A function that makes another worker of one source."""
    write_wave(tmp_path / "a.wav", np.zeros(16_000, np.float32), 8000)
    settings = load_settings(None, [f"sources.porch.url={tmp_path / 'a.wav'}"])
    epochs: dict[str, int] = {}

    def worker(spawn: Spawn) -> SourceWorker:
        context = WorkerContext(
            hub,
            heard,
            Clock(),
            spawn,
            lambda _: None,
            lambda _: None,
            lambda *_: None,
            lambda _: Admission(),
            lambda: None,
            epochs,
        )
        config = source_config("porch", settings.sources["porch"], read_period_s=0.5)
        pipeline: Any = None
        return SourceWorker("porch", settings.sources["porch"], config, pipeline, {}, context)

    return worker


def test_a_source_that_is_switched_off_and_on_or_reloaded_repeats_no_epoch(
    worker_of: Callable[[Spawn], SourceWorker], heard: Subscription
) -> None:
    def epoch_of(worker: SourceWorker) -> int:
        found: list[Block] = []

        def has_come() -> bool:
            found.extend(item for item in heard.take(0.1) if isinstance(item, Block))
            return bool(found)

        worker.switch(NOON)
        wait_until(has_come, 10, "no sound comes")
        worker.stop()
        heard.drop_all()
        return found[-1].epoch

    one = worker_of(begin)
    epochs = [epoch_of(one), epoch_of(one), epoch_of(worker_of(begin))]
    assert epochs == sorted(set(epochs))


def test_a_source_whose_reader_has_not_spoken_is_connecting_and_not_off(
    worker_of: Callable[[Spawn], SourceWorker],
) -> None:
    def spawn(_: str, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=lambda: None)  # as under load: it has not come to its reader
        thread.start()
        return thread

    worker = worker_of(spawn)
    assert (worker.health.status.state, worker.health.status.reason) == (SourceState.OFF, Reason.OUTSIDE_SCHEDULE)
    worker.switch(NOON)
    assert (worker.health.status.state, worker.health.status.reason) == (SourceState.CONNECTING, None)
    worker.enabled = False
    worker.switch(NOON)
    assert (worker.health.status.state, worker.health.status.reason) == (SourceState.OFF, Reason.SWITCHED_OFF)
