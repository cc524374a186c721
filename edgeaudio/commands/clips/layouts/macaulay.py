"""Macaulay Library: what its page "Prepare audio recordings" and eBird's upload ask for, as far as a machine knows it.

WAV, unaltered and not normalised, under names with date and time, in a folder for each source and day, which becomes a
checklist of eBird. `recordings.csv` has the facts that the upload asks for; columns that only a person can fill are
empty. eBird's times are those of the place: times are local to the machine that exports, with their offset from UTC.
"""

from __future__ import annotations

from pathlib import PurePath

from edgeaudio.clips.record import ClipRecord
from edgeaudio.commands.clips.layouts import Exported, Row, Texts
from edgeaudio.label_tables import csv_line
from edgeaudio.slugs import slugify

TABLE = "recordings.csv"
COLUMNS = (
    "File", "Date", "Time", "UTC offset", "Length (s)", "Sound begins at (s)", "Sound ends at (s)", "Label", "Score",
    "Model", "Source", "Device", "Stream rate (Hz)", "Original format", "Seconds missing", "Id", "Species", "Location",
    "Latitude", "Longitude", "Sound type", "Age and sex", "Playback used", "Equipment", "Recordist", "Comments",
)  # fmt: skip
_BY_HAND = COLUMNS.index("Species")
_SLUG_LENGTH = 40  # of a name with two slugs and an id: file names have 255 bytes


class Macaulay:
    """WAV files by source and day, and a table of all of them."""

    wav = True
    tables: tuple[str, ...] = (TABLE,)

    def place(self, record: ClipRecord) -> PurePath:
        local = record.begin.astimezone()
        source, label = (slugify(text)[:_SLUG_LENGTH].strip("-") for text in (record.source, record.label))
        return PurePath(source, f"{local:%Y-%m-%d}", f"{local:%Y%m%d_%H%M%S}_{source}_{label}_{record.id}")

    def texts(self, exported: Exported) -> Texts:
        record, local = exported.record, exported.record.begin.astimezone()
        onset_s, offset_s = exported.event_s
        cells = [
            exported.place.as_posix(),
            f"{local:%Y-%m-%d}",
            f"{local:%H:%M:%S}",
            f"UTC{local.isoformat()[-6:]}",
            f"{exported.length_s:.3f}",
            f"{onset_s:.3f}",
            f"{offset_s:.3f}",
            record.label,
            f"{record.score:.3f}",
            record.model,
            record.source,
            record.device,
            str(record.origin.sample_rate),
            record.sound.format,
            f"{sum(gap.lost_s for gap in record.gaps):g}",
            record.id,
        ]
        return Texts(row=Row(TABLE, csv_line(COLUMNS), csv_line([*cells, *[""] * (len(COLUMNS) - _BY_HAND)])))
