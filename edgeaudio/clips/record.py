"""What is known of a clip: the JSON file beside its sound.

Owns: the fields, their bounds, and the file's form. Does not know: where clips lie (library.py), how sound is written.

A record comes from a disk that anybody may have written to: no field of it may become a path outside of its folder.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, StringConstraints, ValidationError

from edgeaudio.clock import timestamp
from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import MAX_MEMBERS

VERSION: Final = 1
SUFFIX = ".json"
MAX_BYTES = 1 << 18  # of a record; its gaps are bounded
MAX_GAPS = 1000
MAX_SECONDS = 1e6
MAX_TEXT = 200  # characters of a label or a name
ClipFormat = Literal["opus", "flac", "wav"]
# names that Windows allows too: no colon, no dot or space at the end, and no device of its, for a date comes first
FILE_NAME = re.compile(r"[0-9]{8}T[0-9]{9}Z_[a-z0-9-]{1,64}_[A-Za-z0-9-]{1,64}\.[a-z0-9]{1,8}")

Text = Annotated[str, StringConstraints(min_length=1, max_length=MAX_TEXT)]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=f"^{FILE_NAME.pattern}$")]
# bounded, so that every zone has the time, and it can be shown
Time = Annotated[
    AwareDatetime,
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
    PlainSerializer(timestamp, when_used="json"),
]
Score = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]


class ClipRecordError(EdgeaudioError):
    """A file that is no clip's record."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Sound(_Part):
    """The file with the sound."""

    file: FileName  # in the record's folder
    format: ClipFormat
    bytes: Count
    sample_rate: Annotated[int, Field(ge=1, le=1_000_000)]  # Hz, of the file
    channels: Annotated[int, Field(ge=1, le=255)]
    count: Count  # samples of a channel in the file
    onset: Count  # sample of the file at which the event begins
    offset: Count | None  # and ends; None: the clip ends before


class Origin(_Part):
    """Where the sound was in the stream."""

    sample_rate: Annotated[int, Field(ge=1, le=1_000_000)]  # Hz, of the stream
    epoch: Count  # of the source since the agent's start
    first: Count  # sample of the epoch with which the clip begins


class Gap(_Part):
    """A piece of the clip that is missing in the stream; the file goes on with what came after it."""

    at: Count  # sample of the file before which it is missing
    lost_s: Seconds


class Length(_Part):
    """How much was asked for before or after an event, and how much there is."""

    asked_s: Seconds
    got_s: Seconds


class Review(_Part):
    """What a person says of it."""

    keep: bool = False  # retention leaves it


class ClipRecord(_Part):
    """One clip of one event."""

    version: Literal[1] = VERSION
    id: Id  # of the event, as in its detections
    device: Text
    source: Text
    label: Text
    score: Score  # the highest while it lasted
    # of a fused model: names, and their scores where `score` is from
    members: Annotated[dict[Text, Score], Field(max_length=MAX_MEMBERS)] = {}
    model: Text
    model_sha256: Sha256 | None
    threshold: Score | None  # from which the event began
    off_threshold: Score | None = None  # under which it ends, as it was then; None also in older records
    begin: Time  # of the clip's first sample
    onset: Time
    end: Time | None  # of the event; None: it went on after the clip
    before: Length
    after: Length
    sound: Sound
    origin: Origin
    gaps: Annotated[tuple[Gap, ...], Field(max_length=MAX_GAPS)] = ()
    picture: FileName | None = None  # of its spectrogram, in the same folder
    written_by: Text  # edgeaudio and its version
    review: Review = Review()

    def to_json(self) -> str:
        """Return the file's text."""
        return self.model_dump_json(indent=2) + "\n"

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files of the clip but the record itself."""
        return (self.sound.file,) if self.picture is None else (self.sound.file, self.picture)


def read_record(content: bytes) -> ClipRecord:
    """Return the record in a file's content. Raises ClipRecordError, in one line without the file's name."""
    if len(content) > MAX_BYTES:
        raise ClipRecordError(f"it is longer than {MAX_BYTES} bytes")
    try:
        return ClipRecord.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = first["loc"]
        # the names of members are the file's own words, of any length
        where = ".".join(map(str, place[:1] if place[:1] == ("members",) else place))
        raise ClipRecordError(f"{where}: {first['msg']}" if where else first["msg"]) from None


def file_stem(at: datetime, slug: str, event_id: str) -> str:
    """Return the name of a clip's files without their endings: `<UTC>_<slug>_<id>`.

    `at`: the onset; `slug`: of the source and the label, cut to 64 characters.
    """
    digits = timestamp(at).replace("-", "").replace(":", "").replace(".", "")
    return f"{digits}_{slug[:64]}_{event_id}"
