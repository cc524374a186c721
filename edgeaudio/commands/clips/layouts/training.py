"""Training: the folder of `label/recording` files that tools/train_model.py reads, with the record beside each sound.

train_model splits by names: recordings whose names agree up to the last hyphen are never on both sides of a split. Here
those of one source and day agree: else the same bird, or sound that overlapping clips share, would be on both.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath

from edgeaudio.clips.record import SUFFIX, ClipRecord
from edgeaudio.commands.clips.layouts import Exported, Texts
from edgeaudio.slugs import slugify

# labels that are a folder's name anywhere; others are shown by their slug
_FOLDER = re.compile(r"\w[\w ,.()&'+-]{0,63}")
_MAX_BYTES = 200
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{i}" for port in ("com", "lpt") for i in range(10))})


class Training:
    """A folder for each label."""

    wav = False
    tables: tuple[str, ...] = ()

    def place(self, record: ClipRecord) -> PurePath:
        day, _, time = record.sound.file.partition("_")[0].partition("T")
        source = slugify(record.source)
        # an id has hyphens, and no underscore
        name = f"{day}_{source}-{time}_{record.id.replace('-', '_')}"
        return PurePath(label_folder(record.label), name)

    def texts(self, exported: Exported) -> Texts:
        return Texts(beside={SUFFIX: exported.record.to_json()})


def label_folder(label: str) -> str:
    """Return the name of a label's folder, which is the label where that can be; no two labels share one."""
    is_name = (
        _FOLDER.fullmatch(label)
        and len(label.encode()) <= _MAX_BYTES
        and not label.endswith((" ", "."))
        and label.partition(".")[0].lower() not in _DEVICES
    )
    if is_name:
        return label
    digest = hashlib.sha256(label.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    slug = slugify(label)[:40].strip("-")
    return digest if slug == digest else f"{slug}-{digest}"
