"""Which of a source's channels recognition hears: the others were judged by no model, and may hold anything.

Owns: from when on the choice is known, and when it has changed. Does not know: scores, who takes the sound.

A level says it, seconds late where recognition lags. A connection may be recognised otherwise than the one before.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from edgeaudio.mixing import mixed
from edgeaudio.types import Block, Channel, Level


class HeardChannel:
    """The choice of one source, from its Blocks and Levels in order."""

    def __init__(self, *, is_strict: bool) -> None:
        """`is_strict`: what an earlier connection was recognised by does not count."""
        self._is_strict = is_strict
        self._heard: Channel | None = None  # None: not yet known
        self._last: tuple[int, int] | None = None  # epoch and offset of a Block
        self._begun_at = datetime.min.replace(tzinfo=UTC)  # of the epoch's first Block

    def take_level(self, level: Level) -> bool:
        """Note what is recognised from the level's end on; return whether that is another choice than before.

        Then the Blocks since the level may have been mixed otherwise than the models heard them. Scores of what
        follows the level come after it.
        """
        if level.at < self._begun_at:
            return False
        before, self._heard = self._heard, level.heard
        return before is not None and before != level.heard

    def mixed(self, block: Block) -> Block | None:
        """Return a Block as it is recognised, of one channel; None: that is not known yet."""
        last, self._last = self._last, (block.epoch, block.offset)
        if self._is_strict and (last is None or block.epoch != last[0] or block.offset < last[1]):
            self._heard, self._begun_at = None, block.at
        if block.samples.ndim == 1:
            return block
        return None if self._heard is None else replace(block, samples=mixed(block.samples, self._heard))
