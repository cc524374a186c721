"""What models detect in the source of a film, at its own time in the film.

Owns: nothing but the translation of events. The pipeline is the agent's own.
Does not know: pictures, where Blocks come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgeaudio.film.time_line import TimeLine
from edgeaudio.recognise.pipeline import Result, SourcePipeline
from edgeaudio.types import Block, Event


@dataclass(frozen=True, slots=True)
class MarkBegin:
    """A detection begins."""

    mark_id: str
    label: str
    at_s: float  # of the film


@dataclass(frozen=True, slots=True)
class MarkEnd:
    """A detection ends."""

    mark_id: str
    at_s: float


class Detections:
    """Detections of one source."""

    def __init__(self, pipeline: SourcePipeline) -> None:
        self._pipeline = pipeline

    def feed(self, block: Block, time_line: TimeLine) -> Iterator[MarkBegin | MarkEnd]:
        """Yield what a Block completes; the Block was placed before."""
        return _marks(self._pipeline.feed(block), time_line)

    def end(self, time_line: TimeLine) -> Iterator[MarkBegin | MarkEnd]:
        """Yield the ends of what goes on when the sound ends."""
        return _marks(self._pipeline.flush(), time_line)


def _marks(results: Iterable[Result], time_line: TimeLine) -> Iterator[MarkBegin | MarkEnd]:
    for event in results:
        if not isinstance(event, Event) or event.epoch is None or event.offset_s is None:
            continue
        at_s = time_line.film_s(event.epoch, event.offset_s)
        if at_s is None:
            continue
        if event.kind == "onset":
            yield MarkBegin(event.id, f"{event.label} {event.score:.2f}", at_s)
        else:
            yield MarkEnd(event.id, at_s)
