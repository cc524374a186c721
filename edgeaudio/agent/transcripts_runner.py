"""Transcripts of an agent: the sink that queues utterances, and the thread that asks the recogniser.

Owns: which parts there are, and when their threads begin and end: not before a source is transcribed.
Does not know: what the parts do. Imported only where a recogniser is set. Used by the main thread alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from uuid import NAMESPACE_DNS, uuid5

from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.agent.transcriber import Transcriber
from edgeaudio.health.report import TranscriptNumbers
from edgeaudio.hub import Hub
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.outbox.transcript_journal import TranscriptJournal
from edgeaudio.recognise.utterances import UtterancePipeline
from edgeaudio.settings import Settings
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.transcripts.sink import TranscriptsSink
from edgeaudio.sinks.transcripts.utterance_folder import remove_utterances
from edgeaudio.sinks.transcripts.utterance_queue import MB, UtteranceQueue
from edgeaudio.speech.invented import without_invented
from edgeaudio.speech.recogniser import SpeechRecogniser
from edgeaudio.wiring import topics_of

Spawn = Callable[[str, Callable[[], None]], threading.Thread]
_HOUR_S = 3600


class TranscriptsRunner:
    """Transcripts of one agent. Call `follow` with its settings at the start and whenever they change."""

    def __init__(
        self,
        settings: Settings,
        recogniser: SpeechRecogniser,
        hub: Hub,
        outbox: Outbox,
        spawn: Spawn,
        on_change: Callable[[], None],
    ) -> None:
        """`spawn` starts a thread; `on_change`: as of SinkRunner."""
        topics = topics_of(settings)
        wanted = settings.transcripts
        self._folder = settings.utterances_folder
        self._spawn = spawn
        self._own: frozenset[str] = frozenset()  # sources that are heard and transcribed here
        self._threads: list[threading.Thread] = []
        self._stop_sink = threading.Event()
        self._queue = queue = UtteranceQueue(
            self._folder, max_bytes=round(wanted.max_mb * MB), max_age_s=wanted.max_age_h * _HOUR_S
        )
        self._sink = TranscriptsSink(queue, UtterancePipeline, uuid5(NAMESPACE_DNS, topics.unique_name))
        journal = TranscriptJournal(outbox, partial(messages.transcript, topics))
        self._transcriber = Transcriber(queue, recogniser, lambda found: without_invented(found)[0], journal, on_change)
        self.runner = SinkRunner(self._sink, hub, on_change)

    def follow(self, settings: Settings) -> None:
        """Transcribe the sources that the settings name from now on."""
        self._own = settings.transcribed
        # what was said at a source before it went to another shard is still transcribed here
        self._sink.sources = settings.transcribed | settings.transcribed_elsewhere
        if self._threads:
            # the sink does that too, once it runs: it may be disabled, and the recogniser would be asked meanwhile
            self._queue.keep_only(self._sink.sources)
            return
        if self._sink.sources:
            self._threads = [
                self._spawn(f"sink-{self.runner.name}", partial(self.runner.run, self._stop_sink)),
                self._spawn("transcriber", self._transcriber.run),
            ]
        else:
            remove_utterances(self._folder)

    def numbers(self) -> TranscriptNumbers:
        """Return the numbers since the start of the agent."""
        return self._transcriber.numbers(tuple(sorted(self._own)), self._sink.lost)

    def stop_asking(self) -> None:
        """Ask the recogniser nothing more; nothing is committed after this returns."""
        self._transcriber.stop()

    def stop_listening(self) -> None:
        """Let the sink end soon; it queues what is being said, for the next start."""
        self._stop_sink.set()
        self.runner.wake()

    def join(self, end_s: float) -> None:
        """Wait for the threads until that monotonic time."""
        for thread in self._threads:
            self._transcriber.join(thread, end_s)
