"""Training: the folder of `label/recording` files that tools/train_model.py reads, with the record beside each sound.

train_model splits by names: recordings whose names agree up to the last hyphen are never on both sides of a split. Here
those of one source and day agree: else the same bird, or sound that overlapping clips share, would be on both.
"""

from __future__ import annotations

from pathlib import PurePath

from edgeaudio.clips.record import SUFFIX, ClipRecord
from edgeaudio.commands.clips.layouts import Exported, Texts
from edgeaudio.slugs import LabelFolders, slugify


class Training:
    """A folder for each label."""

    wav = False
    tables: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._folders = LabelFolders()

    def place(self, record: ClipRecord) -> PurePath:
        day, _, time = record.sound.file.partition("_")[0].partition("T")
        source = slugify(record.source)
        # an id has hyphens, and no underscore
        name = f"{day}_{source}-{time}_{record.id.replace('-', '_')}"
        return PurePath(self._folders.of(record.label), name)

    def texts(self, exported: Exported) -> Texts:
        return Texts(beside={SUFFIX: exported.record.to_json()})
