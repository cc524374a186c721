"""Exceptions that nobody expected, in the reading or the recognition of one source.

Owns: their count, and that each kind is logged with its traceback once.
Does not know: who was at work, or what becomes of the source.
"""

from __future__ import annotations

import logging
import threading
import traceback

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError
from edgeaudio.types import Reason
from edgeaudio.urls import HIDDEN

_log = logging.getLogger(__name__)

_MAX_KINDS = 32  # that are logged


class InternalErrors:
    """Unexpected exceptions of one source since the start of the agent. May be used from any thread."""

    def __init__(self, config: SourceConfig) -> None:
        self.count = 0
        self._config = config
        self._lock = threading.Lock()
        self._kinds: set[tuple[str, str]] = set()

    def note(self, error: Exception, during: str) -> SourceError:
        """Count `error`, log its traceback if it is the first of its kind, and return it as a SourceError.

        A kind is a type and the line that raised it. `during`: "reading", for instance.
        """
        kind = type(error).__name__
        where = str(traceback.extract_tb(error.__traceback__)[-1:])
        with self._lock:
            self.count += 1
            count = self.count
            new = (kind, where) not in self._kinds and len(self._kinds) < _MAX_KINDS
            if new:
                self._kinds.add((kind, where))
        if new:
            trace = self._without_secrets("".join(traceback.format_exception(error)))
            _log.error(
                "source %s: an exception that nobody expected, while %s:\n%s",
                *(self._config.name, during, trace),
                extra={"source": self._config.name},
            )
        detail = f"{kind} while {during}, internal error {count} of this source"
        hint = "a fault of edgeaudio: please report it, with the traceback in the log"
        return SourceError(self._config.name, self._config.address, Reason.INTERNAL_ERROR, detail, hint)

    def _without_secrets(self, text: str) -> str:
        """Return `text` without the source's password, which an exception may hold outside of any URL."""
        password = self._config.address.password
        return text.replace(password, HIDDEN) if password else text
