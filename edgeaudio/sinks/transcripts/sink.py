"""The sink that queues what is said at sources that are transcribed.

Owns: whose sound is looked at, and the ids of utterances. Does not know: voice activity and the cut (the pipelines,
which are handed in), how utterances are kept (utterance_queue.py), recognisers.

A disk that fails or is full raises, as for any sink: utterances are lost until the sink is opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain
from uuid import UUID, uuid5

from edgeaudio.hub import MAX_S
from edgeaudio.sinks.transcripts.errors import TranscriptsError
from edgeaudio.sinks.transcripts.source_speech import Pipeline, SourceSpeech
from edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue
from edgeaudio.types import Block, EpochEnd, Level, Utterance


class TranscriptsSink:
    """Queues utterances."""

    name = "transcripts"
    accepts = frozenset({Block, EpochEnd, Level})
    max_s = MAX_S

    def __init__(self, queue: UtteranceQueue, make_pipeline: Callable[[], Pipeline], namespace: UUID) -> None:
        """`make_pipeline` returns one for a source; `namespace`: of this device, for ids."""
        self._queue = queue
        self._make_pipeline = make_pipeline
        self._namespace = namespace
        self._speech: dict[str, SourceSpeech] = {}
        self._looked_at: frozenset[str] = frozenset()
        self.sources: frozenset[str] = frozenset()  # that are transcribed; any thread may replace it
        self.heard = 0  # utterances
        self.lost = 0  # utterances that could not be queued

    def open(self) -> None:
        """Find what an earlier process left. Raises TranscriptsError."""
        self._looked_at = self.sources
        self._queue.open(self._looked_at)

    def handle(self, item: object) -> None:
        """Take sound and levels. Raises TranscriptsError."""
        if not isinstance(item, (Block, EpochEnd, Level)) or item.source not in self.sources:
            return
        speech = self._speech.get(item.source)
        match item:
            case Block():
                if speech is None:
                    speech = self._speech[item.source] = SourceSpeech(self._make_pipeline)
                self._put(speech.take_block(item))
            case Level() if speech is not None:
                self._put(speech.take_level(item))
            case EpochEnd() if speech is not None:
                self._put(speech.end())

    def tick(self) -> None:
        """Drop what waits too long, and what is left of sources that are not transcribed any more."""
        sources = self.sources
        if sources != self._looked_at:
            self._looked_at = sources
            self._speech = {name: speech for name, speech in self._speech.items() if name in sources}
            self._queue.keep_only(sources)
        self._queue.expire()

    def close(self) -> None:
        """Queue what is being said. Raises TranscriptsError."""
        speeches, self._speech = self._speech, {}
        self._put(chain.from_iterable(speech.end() for name, speech in speeches.items() if name in self.sources))

    def _put(self, utterances: Iterable[Utterance]) -> None:
        """Queue all that can be. Raises TranscriptsError for one that cannot, after the others."""
        failure: TranscriptsError | None = None
        for utterance in utterances:
            self.heard += 1
            try:
                self._queue.put(self._id(utterance), utterance)
            except TranscriptsError as error:
                self.lost += 1
                failure = error
        if failure is not None:
            raise failure

    def _id(self, utterance: Utterance) -> str:
        """Return the id: the same for the same sound, however often it is queued, recognised and sent."""
        return str(uuid5(self._namespace, f"utterance {utterance.source} {utterance.at.isoformat()}"))
