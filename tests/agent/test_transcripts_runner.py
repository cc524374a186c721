"""Transcripts of an agent: what a change of the settings ends at once, whatever its threads are doing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

from support.spoken import said

from edgeaudio.agent.transcripts_runner import TranscriptsRunner
from edgeaudio.hub import Hub
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.settings import Settings
from edgeaudio.speech.opening import RecogniserConfig, open_recogniser


def not_started(name: str, run: Callable[[], None]) -> threading.Thread:
    """Return a thread that does nothing: that of a sink which is disabled, for up to five minutes."""
    return threading.Thread(target=run, name=name)


def test_what_waits_of_a_source_goes_when_it_is_turned_off_though_the_sink_is_disabled(tmp_path: Path) -> None:
    def settings(*, transcribe: bool) -> Settings:
        return Settings.model_validate(
            {
                "device": "dock",
                "state_dir": tmp_path,
                "transcripts": {"recogniser": "http://127.0.0.1:9"},
                "sources": {"porch": {"url": "rtsp://127.0.0.1:9/a", "transcribe": transcribe}},
            }
        )

    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        recogniser = open_recogniser(RecogniserConfig("http://127.0.0.1:9"))
        runner = TranscriptsRunner(settings(transcribe=True), recogniser, Hub(), outbox, not_started, lambda: None)
        runner.follow(settings(transcribe=True))
        runner._sink.open()
        runner._queue.put(str(UUID(int=1)), said("porch"))
        runner.follow(settings(transcribe=False))
        assert list((tmp_path / "utterances").iterdir()) == []
        assert runner.numbers().waiting == 0
