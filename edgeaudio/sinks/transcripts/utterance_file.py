"""The file of an utterance that waits: its name, and what is in it. Pure.

Owns: the layout, and the check that a file is whole. Does not know: folders, when a file is written or removed.

The name has all that the queue needs, so that a start reads no file: a number that grows, the Unix time of queueing,
the id and the source. The file is a line of JSON, and the sound as 16-bit PCM, mono, 16 kHz, little-endian.
"""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from edgeaudio.pcm import pcm_of, samples_of
from edgeaudio.types import UTTERANCE_RATE, Samples, Utterance

VERSION: Final = 1
SUFFIX: Final = ".utterance"
BYTES_PER_S: Final = 2 * UTTERANCE_RATE
MAX_BYTES: Final = 60 * BYTES_PER_S  # of a file; an utterance lasts 30 s at most
_MAX_HEAD: Final = 512
_NAME: Final = re.compile(
    r"(?P<number>[0-9]{12})\.(?P<queued>[0-9]{1,12})\.(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"\.(?P<source>[a-z0-9-]{1,64})" + re.escape(SUFFIX)
)


class UtteranceFileError(ValueError):
    """A file that is no utterance, or not a whole one."""


@dataclass(frozen=True, slots=True)
class UtteranceName:
    """What the name of a file says."""

    number: int  # grows in the order of queueing
    queued_at: int  # Unix time
    id: str
    source: str

    def __str__(self) -> str:
        return f"{self.number:012d}.{self.queued_at}.{self.id}.{self.source}{SUFFIX}"


@dataclass(frozen=True, slots=True, eq=False)
class QueuedUtterance:
    """An utterance as it was queued."""

    id: str
    source: str
    at: datetime  # aware UTC time of the first sample
    samples: Samples  # float32 `(n,)` at UTTERANCE_RATE

    @property
    def duration_s(self) -> float:
        return len(self.samples) / UTTERANCE_RATE


def parse_name(name: str) -> UtteranceName | None:
    """Return what a file's name says; None: it is no utterance's."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    return UtteranceName(int(found["number"]), int(found["queued"]), found["id"], found["source"])


def encode_utterance(utterance: Utterance) -> bytes:
    """Return the content of an utterance's file."""
    sound = pcm_of(utterance.samples)
    head = {"version": VERSION, "at": utterance.at.isoformat(), "bytes": len(sound), "crc32": zlib.crc32(sound)}
    return json.dumps(head).encode() + b"\n" + sound


def decode_utterance(name: UtteranceName, content: bytes) -> QueuedUtterance:
    """Return the utterance of a file. Raises UtteranceFileError where it is not whole: power may have failed."""
    line, newline, sound = content.partition(b"\n")
    if not newline or len(line) > _MAX_HEAD:
        raise UtteranceFileError("it has no head")
    try:
        head = json.loads(line)
        version, at, n_bytes, crc = head["version"], datetime.fromisoformat(head["at"]), head["bytes"], head["crc32"]
        at.astimezone(UTC)  # times at the ends of the calendar have none
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise UtteranceFileError("its head cannot be read") from None
    if version != VERSION or at.tzinfo is None:
        raise UtteranceFileError("another version wrote it")
    if len(sound) != n_bytes or not sound or len(sound) % 2 or zlib.crc32(sound) != crc:
        raise UtteranceFileError("its sound is not whole")
    return QueuedUtterance(name.id, name.source, at, samples_of(sound))
