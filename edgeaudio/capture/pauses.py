"""Senders that send nothing while it is quiet: are they still there, and do they pause or are they stuck?

Owns: how long such a silence is waited out on the same connection, and what that teaches of the source.
Does not know: samples, timestamps, how a server is asked.

Opus with DTX and telephones' silence suppression send nothing, for seconds or hours, as does a camera that is stuck. A
server that still answers may be in such a pause: its connection is kept for some time longer than others, and if sound
comes back on it, the source is one that pauses, and is waited for as long as the server answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.opening import SourceMemory

_log = logging.getLogger(__name__)

# of the limit without a sample: when the server is asked, and how long it is waited for if it is not known to pause
_ASK_AT = 0.6
_KEEP_FOR = 4.0
# a source that was waited for in vain is not waited for again so soon: it may be stuck, and want a new connection
_NOT_AGAIN_S = 600.0
# that often a hole after quiet sound is more than a camera that is late
_PAUSES = 3
# a source that was not said to pause may be stuck, and who pushes can't be asked: a new connection tells
_LONGEST_S = 600.0


class PauseWatch:
    """Watches one connection. `heard` at each frame, `waiting` while none comes; all in the reader's thread."""

    def __init__(
        self,
        config: SourceConfig,
        memory: SourceMemory,
        deadline: Deadline,
        now_s: float,
        *,
        answers: Callable[[], bool],
    ) -> None:
        """`answers` asks the server, within two seconds."""
        self._config = config
        self._memory = memory
        self._deadline = deadline
        self._answers = answers
        self._heard_s = now_s
        self._asked_s = now_s
        self._kept = self._told = False
        self._n_pauses = 0

    @property
    def pauses(self) -> bool:
        """Whether the source is one that pauses."""
        return self._config.pauses or self._memory.pauses

    def paused(self) -> None:
        """The timestamps have gone on over a hole in which nothing came, after quiet sound."""
        self._n_pauses += 1
        if self._n_pauses >= _PAUSES:
            self._learn("its timestamps go on while nothing comes")

    def heard(self, now_s: float) -> None:
        """A frame came."""
        if now_s - self._heard_s > self._config.read_timeout_s:
            self._learn(f"sound came back after {now_s - self._heard_s:.1f} s without a new connection")
        if self._kept:
            self._memory.no_pause_until_s = float("-inf")
        self._heard_s = self._asked_s = now_s
        self._kept = self._told = False

    def waiting(self, now_s: float) -> float | None:
        """No frame has come up to now: see whether the limit is to be longer.

        Returns, once, for how many seconds a source that is not known to pause is waited for from now on.
        """
        limit_s = self._config.read_timeout_s
        address = self._config.address
        certain = self._config.pauses and not address.is_pushed
        if not (address.is_rtsp or address.is_pushed) or (not certain and now_s - self._heard_s > _LONGEST_S):
            return None
        may_pause = self.pauses or (not self._kept and now_s > self._memory.no_pause_until_s)
        if may_pause and now_s - self._asked_s >= _ASK_AT * limit_s:
            self._asked_s = now_s
            if self._answers():
                self._kept = True
                self._memory.no_pause_until_s = now_s + _NOT_AGAIN_S
                end_s = now_s + 2 * limit_s if self.pauses else self._heard_s + _KEEP_FOR * limit_s
                self._deadline.limit(max(0.0, end_s - now_s))
        if self._kept and not self.pauses and not self._told and now_s - self._heard_s >= limit_s:
            self._told = True
            return self._heard_s + _KEEP_FOR * limit_s - now_s
        return None

    def _learn(self, evidence: str) -> None:
        if not self.pauses:
            self._memory.pauses = True
            _log.info("source %s: %s: it sends nothing while it is quiet", self._config.name, evidence)
