"""Log records as lines of JSON in the Elastic Common Schema (ECS), for collectors such as Filebeat and Vector.

Owns: the fields of a line, their types and their limits. A line is one JSON object in ASCII, shorter than the limit of
stderr.py, whatever the record holds; each string is masked and escaped as in the text format.
Does not know: where lines go, or what becomes of a record that cannot be formatted (logs.py).

Objects are nested (`{"log": {"level": "info"}}`), which Elasticsearch, ingest pipelines, Filebeat and Vector read as it
is. Dotted names (`"log.level"`) have to be expanded first in all but Elasticsearch itself.
"""

from __future__ import annotations

import bisect
import json
import logging
import socket
from datetime import UTC, datetime

from edgeaudio.redact import mask
from edgeaudio.terminal import printable
from edgeaudio.version import __version__

ECS_VERSION = "9.4.0"

# bytes of a string as JSON; all of a line's together stay under MAX_LINE_BYTES of stderr.py
MAX_TEXT_BYTES = 12_000  # message and stack trace
MAX_ERROR_BYTES = 2_000
MAX_NAME_BYTES = 256
_CUT = " ... (cut)"


class EcsFormatter(logging.Formatter):
    """Formats a record as one line of JSON. `extra={"source": NAME}` of a log call becomes `edgeaudio.source`."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = device
        self._fixed = {
            "ecs": {"version": ECS_VERSION},
            "service": {"name": "edgeaudio", "version": __version__},
            "host": {"name": _text(socket.gethostname(), MAX_NAME_BYTES)},
        }

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "@timestamp": _timestamp(record.created),
            "log": {
                "level": _text(record.levelname.lower(), MAX_NAME_BYTES),
                "logger": _text(record.name, MAX_NAME_BYTES),
            },
            "message": _text(record.getMessage(), MAX_TEXT_BYTES),
            **self._fixed,
            "process": {
                "pid": record.process,
                "thread": {"name": _text(record.threadName or "", MAX_NAME_BYTES)},
            },
            "edgeaudio": self._ours(record),
        }
        if error := self._error(record):
            fields["error"] = error
        return json.dumps(fields, separators=(",", ":"))

    def _ours(self, record: logging.LogRecord) -> dict[str, str]:
        source = getattr(record, "source", None)
        known = {"source": _text(source, MAX_NAME_BYTES)} if isinstance(source, str) else {}
        return {"device": self._device, **known}

    def _error(self, record: logging.LogRecord) -> dict[str, str]:
        if not record.exc_info or record.exc_info[1] is None:
            return {}
        error = record.exc_info[1]
        return {
            "type": _text(_type_name(error), MAX_NAME_BYTES),
            "message": _text(_message(error), MAX_ERROR_BYTES),
            "stack_trace": _text(self.formatException(record.exc_info), MAX_TEXT_BYTES),
        }


def _timestamp(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (it may be of any library, and the line must not be lost)
        return "<exception str() failed>"  # as in a traceback


def _text(text: str, limit: int) -> str:
    """Return the text masked and printable, or as much of its beginning as has `limit` bytes as JSON."""
    text = printable(mask(text))
    if _size(text) <= limit:
        return text
    # masked before it is cut: the beginning of a URL may be read in another way
    fitting = bisect.bisect_right(range(limit), limit - len(_CUT), key=lambda length: _size(text[:length])) - 1
    return text[:fitting] + _CUT


def _size(text: str) -> int:
    return len(json.dumps(text))
