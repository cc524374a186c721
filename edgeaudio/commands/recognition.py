"""Recognition of a source that a command was given: the agent's pipeline, with the time of the medium.

Owns: which models run, and the opening, the waiting and the progress around the pipeline.
Does not know: what is shown of the results.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from uuid import UUID

from edgeaudio.api import load_model
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import open_source
from edgeaudio.capture.errors import SourceError
from edgeaudio.commands.progress import Progress
from edgeaudio.commands.waiting import SENDER_WAIT_S, WaitMonitor
from edgeaudio.recognise.pipeline import ModelBinding, Result, SourcePipeline
from edgeaudio.settings import Settings
from edgeaudio.types import Reason
from edgeaudio.wiring import load_models, model_bindings

MEDIA_START = datetime(1970, 1, 1, tzinfo=UTC)  # of a recording: times count from its beginning


def bindings_of(settings: Settings, names: Sequence[str], source: str | None) -> list[ModelBinding]:
    """Load the models of these names or directories; without any those of the settings, as the source has them."""
    if names:
        return [ModelBinding(load_model(name)) for name in names]
    return model_bindings(settings, load_models(settings), source)


def results(
    config: SourceConfig,
    stop: threading.Event,
    bindings: Sequence[ModelBinding],
    gate_dbfs: float,
    *,
    live_s: float | None = None,
    scores_only: bool = False,
    table_grows: bool = True,
) -> Iterator[tuple[Result, bool]]:
    """Yield all results of the source, and whether it is a recording.

    `live_s`: how much of a live source is heard, whose end before that is a failure; None: until it ends.
    `scores_only`: no Levels, no Events.
    `table_grows`: standard output shows the progress itself.
    Raises SourceError if reading fails, after the results of the sound before.
    """
    pipeline = SourcePipeline(
        config.name,
        bindings,
        namespace=UUID(int=0),
        gate_dbfs=gate_dbfs,
        channel=config.channel,
        scores_only=scores_only,
    )
    failure = None
    with (
        WaitMonitor(config, stop) as monitor,
        open_source(config, monitor.end, media_start=MEDIA_START, sender_wait_s=SENDER_WAIT_S) as connection,
        Progress(table_grows=table_grows) as progress,
    ):
        wanted_s = None if connection.recorded else live_s
        heard_s = 0.0
        try:
            for block in monitor.listen(connection, wanted_s):
                yield from ((result, connection.recorded) for result in pipeline.feed(block))
                heard_s += block.duration_s
                progress.show(heard_s, wanted_s or connection.info.duration_s)
                if wanted_s is not None and heard_s >= wanted_s:
                    break
            else:
                if wanted_s is not None and not stop.is_set():
                    failure = SourceError(config.name, config.address, Reason.END_OF_STREAM, "the stream ended", "")
        except SourceError as error:
            failure = error
        yield from ((result, connection.recorded) for result in pipeline.flush())
    if failure:
        raise failure
