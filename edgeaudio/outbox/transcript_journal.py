"""The journal of transcripts: each is committed once, whatever becomes of the file of its sound.

Owns: one transaction for a transcript's message and its id. Does not know: files, recognisers, what a message looks
like on the wire (`encode` is handed in).

A transcript is committed, and then the file of its utterance is removed. A process that is killed in between finds the
file again. So the ids of those whose file may still be there are kept in the transaction of the message: of one
transcript, as a rule, and of more where files cannot be removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message, Transcript

log = logging.getLogger(__name__)

MAX_IDS = 100  # a disk from which nothing can be removed takes nothing new either
_KEY = "transcripts"


class TranscriptJournal:
    """Commits transcripts to the outbox. Used by one thread."""

    def __init__(self, outbox: Outbox, encode: Callable[[Transcript], Message]) -> None:
        self._outbox = outbox
        self._encode = encode
        self._ids: list[str] | None = None  # committed, and their files may be there; None: not read yet

    def commit(self, transcript: Transcript) -> None:
        """Write a transcript to the disk, to be sent; one that was committed and not forgotten is not sent again.

        Never raises because of the disk: see Journal.
        """
        ids = self._known()
        if transcript.id in ids:
            return
        ids.append(transcript.id)
        del ids[:-MAX_IDS]
        self._outbox.add([self._encode(transcript)], settings={_KEY: " ".join(ids)})
        # tests/chaos compares these lines with what the broker received; no text is logged
        log.debug("committed transcript %s", transcript.id)

    @property
    def is_held_up(self) -> bool:
        """True if transcripts should wait: the broker is away, and they would take the room of detections."""
        return self._outbox.is_half_full

    def is_committed(self, utterance_id: str) -> bool:
        """True if the transcript of an utterance was committed, and not forgotten since."""
        return utterance_id in self._known()

    def forget(self, utterance_id: str) -> None:
        """Note that the file of an utterance will not come back; the next commit writes that down."""
        ids = self._known()
        if utterance_id in ids:
            ids.remove(utterance_id)

    def _known(self) -> list[str]:
        if self._ids is None:
            self._ids = self._outbox.settings().get(_KEY, "").split()
        return self._ids
