"""Senders that send nothing while it is quiet, told from those that are stuck.

Owns: how long a connection without sound is kept, and whether the source is one that pauses.
Does not know: samples, timestamps, how a server is probed.

Opus with DTX and the silence suppression of telephones send nothing for seconds or hours, and so does a camera that is
stuck. A server that still answers may be in such a pause: its connection is kept longer than others. If sound comes
back on it, the source is one that pauses, and its connection is kept as long as the server answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.deadline import Deadline
from edgeaudio.capture.opening import SourceMemory

_log = logging.getLogger(__name__)

# in read timeouts: when the server is probed, and how long the connection is kept if it is not known to pause
_ASK_AT = 0.6
_KEEP_FOR = 4.0
# after a wait in vain: the source may be stuck, and need a new connection
_NOT_AGAIN_S = 600.0
# so many holes after quiet sound are more than a camera that is late
_PAUSES = 3
# a source that is not set to pause may be stuck, and a pushing sender cannot be probed: a new connection shows
_LONGEST_S = 600.0


class PauseWatch:
    """Watch on one connection. Call `heard` at each frame, `waiting` between frames; all in the reader's thread."""

    def __init__(
        self,
        config: SourceConfig,
        memory: SourceMemory,
        deadline: Deadline,
        now_s: float,
        *,
        answers: Callable[[], bool],
    ) -> None:
        """`answers` probes the server, within two seconds."""
        self._config = config
        self._memory = memory
        self._deadline = deadline
        self._answers = answers
        self._heard_s = now_s
        self._asked_s = now_s
        self._kept = self._reported = False
        self._n_pauses = 0

    @property
    def pauses(self) -> bool:
        """True if the source is one that pauses."""
        return self._config.pauses or self._memory.pauses

    def paused(self) -> None:
        """Note a hole after quiet sound in which nothing came while the timestamps went on."""
        self._n_pauses += 1
        if self._n_pauses >= _PAUSES:
            self._learn("its timestamps go on while nothing comes")

    def heard(self, now_s: float) -> None:
        """Note a frame."""
        if now_s - self._heard_s > self._config.read_timeout_s:
            self._learn(f"sound came back after {now_s - self._heard_s:.1f} s without a new connection")
        if self._kept:
            self._memory.no_pause_until_s = float("-inf")
        self._heard_s = self._asked_s = now_s
        self._kept = self._reported = False

    def waiting(self, now_s: float) -> float | None:
        """Extend the limit if the server answers; call it while no frame comes.

        Returns, once, for how many more seconds the connection of a source that is not known to pause is kept.
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
        if self._kept and not self.pauses and not self._reported and now_s - self._heard_s >= limit_s:
            self._reported = True
            return self._heard_s + _KEEP_FOR * limit_s - now_s
        return None

    def _learn(self, evidence: str) -> None:
        if not self.pauses:
            self._memory.pauses = True
            name = self._config.name
            _log.info("source %s: %s: it sends nothing while it is quiet", name, evidence, extra={"source": name})
