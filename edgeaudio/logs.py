"""The log: its one handler, and its formats: text for a terminal, or ECS; with priorities for systemd's journal.

Owns: the handler, and the logging of uncaught exceptions and of warnings. Secrets are masked in every line.
Does not know: what is logged, the fields of ECS (ecs.py), or how a stream is written to without blocking (stderr.py).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Literal, TextIO

from edgeaudio.ecs import EcsFormatter
from edgeaudio.redact import mask
from edgeaudio.stderr import Stderr
from edgeaudio.terminal import printable

log = logging.getLogger(__name__)

# syslog's numbers; the journal reads them from the head of the line (sd-daemon(3))
_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Handler(logging.StreamHandler[TextIO | Stderr]):
    """Writes every record; one that cannot be formatted (its arguments are wrong) without arguments and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            return super().format(record)
        except Exception as error:  # noqa: BLE001 (arguments may be of any library; logging would print them unmasked)
            said = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
            bare = {"msg": f"{said} (not formatted: {type(error).__name__})", "args": None, "exc_info": None}
            return super().format(logging.makeLogRecord({**vars(record), **bare, "exc_text": None}))


class _TextFormatter(logging.Formatter):
    """Formats message and traceback as one text, with the secrets of URLs masked and control characters escaped."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(mask(super().format(record)))


class _JournalFormatter(logging.Formatter):
    """Begins each line of another format with its priority, which the journal removes."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        head = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(head + line for line in self._inner.format(record).splitlines())


def in_journal(stream: TextIO | Stderr, environ: Mapping[str, str] = os.environ) -> bool:
    """True if the stream is systemd's journal: JOURNAL_STREAM then names its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def setup_logging(
    level: str, stream: TextIO | Stderr | None = None, *, log_format: Literal["text", "ecs"] = "text", device: str = ""
) -> None:
    """Send the log of all of edgeaudio, and the warnings of everything else, to standard error.

    `device` is in each line of "ecs".
    """
    stream = stream or sys.stderr
    journal = in_journal(stream)
    formatter = EcsFormatter(device) if log_format == "ecs" else _text_formatter(with_time=not journal)
    handler = _Handler(stream)
    handler.setFormatter(_JournalFormatter(formatter) if journal else formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("edgeaudio").setLevel(level.upper())


def _text_formatter(*, with_time: bool) -> logging.Formatter:
    """Return the format of a terminal, or, without the time, that of the journal, which records it."""
    if not with_time:
        return _TextFormatter("%(name)s: %(message)s")
    formatter = _TextFormatter("%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    return formatter


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
