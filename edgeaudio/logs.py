"""The log: its one handler, and its format for a terminal or for systemd's journal. Secrets are masked in every line.

Owns: the handler, and the logging of uncaught exceptions and of warnings.
Does not know: what is logged, or how a stream is written to without blocking (stderr.py).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import TextIO

from edgeaudio.redact import mask
from edgeaudio.stderr import Stderr
from edgeaudio.terminal import printable

log = logging.getLogger(__name__)

# syslog's numbers; the journal reads them from the head of the line (sd-daemon(3))
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Formatter(logging.Formatter):
    """Formats message and traceback as one text, with the secrets of URLs masked and control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(mask(super().format(record)))


class _JournalFormatter(_Formatter):
    """Formats for the journal, which records the time: each line begins with its priority."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(head + line for line in super().format(record).splitlines())


def in_journal(stream: TextIO | Stderr, environ: Mapping[str, str] = os.environ) -> bool:
    """True if the stream is systemd's journal: JOURNAL_STREAM then names its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def setup_logging(level: str, stream: TextIO | Stderr | None = None) -> None:
    """Send the log of all of edgeaudio, and the warnings of everything else, to standard error."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    if in_journal(stream):
        handler.setFormatter(_JournalFormatter("%(name)s: %(message)s"))
    else:
        formatter = _Formatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("edgeaudio").setLevel(level.upper())


def log_strays() -> None:
    """Log what the interpreter would print unmasked: warnings, and exceptions of threads and finalisers."""
    logging.captureWarnings(capture=True)
    threading.excepthook = _log_threads_end
    sys.unraisablehook = _log_unraisable


def _log_threads_end(end: threading.ExceptHookArgs) -> None:
    if end.exc_value is not None:
        name = end.thread.name if end.thread else "a thread"
        log.error("an exception ended %s", name, exc_info=end.exc_value)


def _log_unraisable(unraisable: sys.UnraisableHookArgs) -> None:
    log.error("%s", unraisable.err_msg or "an exception was ignored", exc_info=unraisable.exc_value)
