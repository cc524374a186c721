"""What is shown of a clip wherever one is."""

from __future__ import annotations

import json

from edgeaudio.clips.library import Clip
from edgeaudio.clips.record import ClipRecord


def length_s(record: ClipRecord) -> float:
    """Return the length of the clip's sound, in seconds."""
    return record.sound.count / record.sound.sample_rate


def json_line(clip: Clip) -> str:
    """Return the record as JSON in one line, with the folder that its files are in."""
    values = clip.record.model_dump(mode="json")
    return json.dumps({"folder": str(clip.file.parent.absolute()), **values}, ensure_ascii=False)
