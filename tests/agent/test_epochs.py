"""Epochs are numbered over all readers of a source: scores of one that was stopped may still come for the next."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio.agent.source_worker import SourceWorker, WorkerContext
from edgeaudio.capture.admission import Admission
from edgeaudio.clock import Clock
from edgeaudio.hub import Hub
from edgeaudio.settings import load_settings
from edgeaudio.types import Block, EpochEnd
from edgeaudio.wiring import source_config

NOON = datetime(2026, 11, 30, 12)  # noqa: DTZ001 - local time of day


def test_a_source_that_is_switched_off_and_on_or_reloaded_repeats_no_epoch(tmp_path: Path) -> None:
    write_wave(tmp_path / "a.wav", np.zeros(16_000, np.float32), 8000)
    settings = load_settings(None, [f"sources.porch.url={tmp_path / 'a.wav'}"])
    hub = Hub()
    heard = hub.subscribe("test", {Block, EpochEnd})

    def spawn(_: str, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    context = WorkerContext(
        hub, heard, Clock(), spawn, lambda _: None, lambda _: None, lambda *_: None, lambda _: Admission(), lambda: None
    )

    def worker() -> SourceWorker:
        config = source_config("porch", settings.sources["porch"], read_period_s=0.5)
        pipeline: Any = None
        return SourceWorker("porch", settings.sources["porch"], config, pipeline, {}, context)

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

    one = worker()
    epochs = [epoch_of(one), epoch_of(one), epoch_of(worker())]
    assert epochs == sorted(set(epochs))
