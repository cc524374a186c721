"""The transcriber's thread: takes utterances from their queue, asks the recogniser, and commits what was said.

Owns: the loop, the order "commit, then remove", what is counted, and what is logged: never the text.
Does not know: whose turn it is (turns.py), protocols, files, how a transcript looks on the wire.

Nothing that a recogniser does ends the process, or delays a detection: a failure is a failed try of one utterance.
"""

from __future__ import annotations

import logging
import math
import random
import re
import threading
import time
import unicodedata
from collections.abc import Callable
from typing import Final

from edgeaudio.health.report import TranscriptNumbers
from edgeaudio.outbox.transcript_journal import TranscriptJournal
from edgeaudio.redact import mask
from edgeaudio.sinks.transcripts.errors import TranscriptsError
from edgeaudio.sinks.transcripts.turns import MAX_STRIKES, Turns
from edgeaudio.sinks.transcripts.utterance_file import QueuedUtterance
from edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue
from edgeaudio.speech.recogniser import RecogniserError, Recognition, SpeechRecogniser
from edgeaudio.terminal import one_line
from edgeaudio.throttled_log import LogThrottle
from edgeaudio.types import Transcript

log = logging.getLogger(__name__)

MAX_TEXT: Final = 2000  # characters: an utterance has 30 s, and nobody says more in them
MAX_NAME: Final = 100  # characters of a recogniser's name, and of a language
MAX_TROUBLE: Final = 200  # characters, in health and in the log
HELD_UP: Final = "the outbox is half full: utterances wait until the broker has taken what is in it"
_LOOK_AGAIN_S: Final = 1.0  # while the outbox is
_WAIT_S: Final = 60.0  # at most, for anything: `wake` ends it
_CLOSE_AGAIN_S: Final = 0.05
_ITS_WORDS: Final = re.compile(r"\(.*\)")  # of a recogniser: numbers of requests, times
_JOINERS: Final = frozenset("\u200c\u200d")  # which the spelling of Persian, Hindi and others has

Sift = Callable[[Recognition], Recognition]


class Transcriber:
    """Asks one recogniser. `run` is a thread; `stop` and `numbers` are for the main thread."""

    def __init__(
        self,
        queue: UtteranceQueue,
        recogniser: SpeechRecogniser,
        sift: Sift,
        journal: TranscriptJournal,
        on_change: Callable[[], None],
    ) -> None:
        """`sift` returns a recognition without what the recogniser invented.

        `on_change` is called when there is trouble, and when it is over; it must be quick and not raise.
        """
        self._queue = queue
        self._recogniser = recogniser
        self._sift = sift
        self._journal = journal
        self._on_change = on_change
        self._turns = Turns(lambda: random.uniform(0.5, 1.0))
        self._throttle = LogThrottle()
        self._stop = threading.Event()
        self._commit_lock = threading.Lock()
        self._trouble = ""
        self._is_said = False  # the trouble, in the log
        self._sent = self._empty = self._invented = self._refused = self._failures = 0

    def run(self) -> None:
        """Work until `stop`."""
        while not self._stop.is_set():
            seen = self._queue.version
            utterance_id, wait_s = self._turns.next(self._queue.ids(), time.monotonic())
            if utterance_id is None:
                self._queue.wait(seen, min(wait_s, _WAIT_S))
            elif self._journal.is_committed(utterance_id):  # by a process that was killed before it removed the file
                self._remove(utterance_id)
            elif self._journal.is_held_up:
                self._set_trouble(HELD_UP)
                self._stop.wait(_LOOK_AGAIN_S)
            else:
                self._take(utterance_id)

    def stop(self) -> None:
        """Have `run` end soon; nothing is committed after this returns, and what was not stays in the queue."""
        with self._commit_lock:
            self._stop.set()
        self._queue.wake()
        self._recogniser.close()

    def join(self, thread: threading.Thread, end_s: float) -> None:
        """Wait after `stop` for the thread of `run`, until that monotonic time."""
        while thread.is_alive() and (left_s := end_s - time.monotonic()) > 0:
            self._recogniser.close()  # of a call that began a moment after `stop` closed the one before
            thread.join(min(left_s, _CLOSE_AGAIN_S))

    def numbers(self, sources: tuple[str, ...], lost: int) -> TranscriptNumbers:
        """Return the numbers since the start, for health. `lost`: utterances that could not be queued."""
        waiting, n_bytes, oldest_s = self._queue.state()
        return TranscriptNumbers(
            sources=sources,
            recogniser=_bounded(self._recogniser.name, MAX_NAME),
            trouble=self._trouble,
            waiting=waiting,
            waiting_bytes=n_bytes,
            oldest_s=oldest_s,
            sent=self._sent,
            empty=self._empty,
            invented=self._invented,
            refused=self._refused,
            failures=self._failures,
            dropped=self._queue.dropped + lost,
        )

    def _take(self, utterance_id: str) -> None:
        try:
            utterance = self._queue.take(utterance_id)
        except TranscriptsError as error:
            self._fail(utterance_id, RecogniserError(str(error)))
        else:
            if utterance is not None:
                self._try(utterance)

    def _try(self, utterance: QueuedUtterance) -> None:
        try:
            found = self._recogniser.recognise(utterance.samples)
            transcript = self._transcript(utterance, self._sift(found))
            is_empty = not found.text.strip()
        except RecogniserError as error:
            self._fail(utterance.id, error)
        except Exception as error:  # noqa: BLE001 (a client's fault must not end the agent)
            # the message may hold what was said
            self._fail(utterance.id, RecogniserError(f"unexpected {type(error).__name__} in its client"))
        else:
            if not self._queue.holds(utterance.id):  # meanwhile its source is not transcribed any more
                pass
            elif transcript is None:
                self._empty += 1
                self._invented += not is_empty
            elif self._commit(transcript):
                self._sent += 1
            else:
                return
            self._remove(utterance.id)
            self._note_answer(utterance.id)

    def _transcript(self, utterance: QueuedUtterance, found: Recognition) -> Transcript | None:
        """Return what goes to the outbox; None: nothing was said."""
        text = _bounded(found.text, MAX_TEXT)
        if not text:
            return None
        return Transcript(
            id=utterance.id,
            source=utterance.source,
            at=utterance.at,
            duration_s=utterance.duration_s,
            text=text,
            language=None if found.language is None else _bounded(found.language, MAX_NAME),
            confidence=_share(found.confidence),
            recogniser=_bounded(self._recogniser.name, MAX_NAME),
        )

    def _commit(self, transcript: Transcript) -> bool:
        """Commit a transcript; return False after a stop, since the outbox may be closed."""
        with self._commit_lock:
            if self._stop.is_set():
                return False
            self._journal.commit(transcript)
        return True

    def _note_answer(self, utterance_id: str) -> None:
        """Note that the recogniser answered an utterance, if only to refuse it."""
        if (given_up := self._turns.succeed(utterance_id)) is not None:
            self._refuse(given_up, f"it failed {MAX_STRIKES} times while others were recognised")
        if self._is_said:
            self._is_said = False
            log.info("the recogniser answers again; %d utterances wait", len(self._queue.ids()))
        self._set_trouble("")

    def _fail(self, utterance_id: str, error: RecogniserError) -> None:
        if self._stop.is_set():  # `stop` has ended the call
            return
        self._failures += 1
        why = mask(one_line(str(error)))[:MAX_TROUBLE]
        if error.is_final:
            self._refuse(utterance_id, why)
            self._note_answer(utterance_id)
            return
        self._queue.put_back(utterance_id)
        self._turns.fail(utterance_id, time.monotonic(), is_for_all=error.is_for_all)
        if self._throttle.is_due(_ITS_WORDS.sub("", why), time.monotonic()):
            self._is_said = True
            log.warning("utterances wait for the recogniser: %s", why)
        self._set_trouble(why)

    def _refuse(self, utterance_id: str, why: str) -> None:
        """Give up an utterance."""
        self._refused += 1
        self._remove(utterance_id)
        if self._throttle.is_due("refused", time.monotonic()):
            log.warning("an utterance is given up, as %d so far: %s", self._refused, why)

    def _remove(self, utterance_id: str) -> None:
        if self._queue.remove(utterance_id):
            self._journal.forget(utterance_id)

    def _set_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_change()


def _bounded(text: str, most: int) -> str:
    """Return the text in one line, without what cannot be printed, and no longer than that."""
    clean = " ".join("".join(map(_shown, text[: 4 * most])).split())
    return clean if len(clean) <= most else clean[: most - 1].rstrip() + "…"


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS:
        return character
    # what has no width is within words; some of it turns the direction of all that follows it on a page
    return "" if unicodedata.category(character) == "Cf" else " "


def _share(value: float | None) -> float | None:
    """Return a confidence from 0 to 1; None where it is no number."""
    return min(1.0, max(0.0, value)) if value is not None and math.isfinite(value) else None
