"""Sound of one source that may be heard: at once, or after every clip that holds it was judged.

Owns: what is held back meanwhile, and the bound on it.
Does not know: how a stretch is judged (tracks/), what is made of the sound, leases.

Where some sound may not be heard (`clips.never_with`), sound is held back until a clip has been judged that begins
after it: then all scores of clips that hold it are known. Stretches with a forbidden score, and those that were not
judged, never leave.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from edgeaudio.tracks.recognition import Recognition
from edgeaudio.tracks.track import Track
from edgeaudio.types import Block, Scores

MAX_HELD_BYTES: Final = 16 * 1024 * 1024  # 87 s at 48 kHz; beyond it the oldest sound is not heard


class Release:
    """The sound of one source, as mono Blocks."""

    def __init__(self, never_with: Mapping[str, float]) -> None:
        """`never_with`: by label, the score from which on sound may not be heard."""
        self._never_with = never_with
        self._track: Track | None = None
        self._recognition: Recognition
        self._begin = 0  # position of the oldest sound that is held back

    def take_block(self, block: Block) -> Iterator[Block]:
        """Take the next sound; yield what may be heard."""
        if not self._never_with:
            yield block
            return
        if self._track is None or not self._track.fits(block):
            self._track = Track(block)
            self._recognition = Recognition(self._track, self._never_with)
            self._begin = 0
        else:
            self._track.add(block)
        yield from self._released(self._track)

    def take_scores(self, scores: Scores) -> Iterator[Block]:
        """Take a clip's scores; yield what may be heard now."""
        if self._track is not None and self._recognition.add(scores):
            yield from self._released(self._track)

    def _released(self, track: Track) -> Iterator[Block]:
        until = self._recognition.judged_until()
        if until is not None and until > self._begin:
            for begin, end in self._recognition.allowed(self._begin, until):
                yield from track.blocks(begin, end)
            self._begin = until
        while track.bytes > MAX_HELD_BYTES:
            track.forget_oldest()
        self._begin = max(self._begin, track.begin)
        track.forget(self._begin)
        self._recognition.forget(self._begin)
