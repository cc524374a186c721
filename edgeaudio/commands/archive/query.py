"""`edgeaudio archive query`: an answer as a table, CSV, JSON lines or a picture."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal, cast

from edgeaudio.archive import query as questions
from edgeaudio.archive.heat_map import draw, map_of
from edgeaudio.archive.query import Answer, Key
from edgeaudio.archive.results import choose_place, require_labels
from edgeaudio.archive.selection import Filters
from edgeaudio.archive.sites import Sites
from edgeaudio.archive.sun import Place
from edgeaudio.archive.written_times import named_zone
from edgeaudio.commands.exit_status import EXIT_FAULT
from edgeaudio.commands.troubles import Troubles
from edgeaudio.console import Align, columns, counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.label_tables import csv_line
from edgeaudio.new_files import new_file
from edgeaudio.pictures.options import ImageFormat
from edgeaudio.terminal import print_error, print_out

_FORMATS: dict[str, ImageFormat] = {".webp": "webp", ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}
_PICTURE: tuple[Key, ...] = ("day", "hour")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked, and how it is shown."""

    by: Sequence[str] | None
    filters: Filters
    sites: Sites | None
    merge_s: float | None
    form: Literal["table", "csv", "json"]
    picture: Path | None
    place: Place | None
    overwrite: bool


def query(out: Path, results: str | None, wishes: Wishes) -> int:
    """Print or draw the answer; 1 if some results were left out. Raises EdgeaudioError."""
    if wishes.picture is None and wishes.place is not None:
        raise EdgeaudioError("the sun of a place is drawn into a picture; add --picture FILE")
    if wishes.picture is not None and wishes.by is not None and set(wishes.by) != set(_PICTURE):
        raise EdgeaudioError("a picture is by day,hour; leave --by out")
    by = _PICTURE if wishes.picture is not None else cast("Sequence[Key]", wishes.by or ("label",))
    troubles = Troubles(EXIT_FAULT)
    place = choose_place(out, results)
    require_labels(place, wishes.filters.labels)
    answer = questions.query(place, by, wishes.filters, troubles.say, sites=wishes.sites, merge_s=wishes.merge_s)
    if wishes.picture is not None:
        _draw(answer, wishes.picture, wishes)
    else:
        _print(answer, wishes)
    return troubles.status()


def _draw(answer: Answer, file: Path, wishes: Wishes) -> None:
    filters = wishes.filters
    what = ", ".join(filters.labels) or "all labels"
    where = f" at {', '.join(filters.sites)}" if filters.sites else ""
    title = f"{what}{where}: events an hour of listening, {filters.zone}"
    found = map_of(answer.rows, title, named_zone(filters.zone), wishes.place)
    content = draw(found, _FORMATS[file.suffix.lower()])
    with new_file(file, overwrite=wishes.overwrite) as picture:
        picture.write(content)
    events, days = counted(int(found.counts.sum()), "event"), counted(len(found.counts), "day")
    print_out(f"{file}: {events} in {answer.hours:.1f} h, {days}")


def _print(answer: Answer, wishes: Wishes) -> None:
    names = (*answer.by, "events", "hours")
    if wishes.form == "csv":
        for row in (names, *answer.rows):
            print_out(csv_line([_value(cell) for cell in row]).rstrip("\r\n"))
    elif wishes.form == "json":
        for row in answer.rows:
            print_out(json.dumps(dict(zip(names, map(_value, row), strict=True)), ensure_ascii=False))
    else:
        rows = [(*names, "an hour"), *map(_shown, answer.rows)]
        left: Align = "<"
        right: Align = ">"
        for line in columns(rows, [left] * len(answer.by) + [right] * 3):
            print_out(line)
        _print_total(answer)


def _value(cell: object) -> str | float:
    if isinstance(cell, date):
        return cell.isoformat()
    return round(cell, 6) if isinstance(cell, float) else cast("str | int", cell)


def _shown(row: Sequence[object]) -> Sequence[str]:
    *keys, events, hours = row
    rate = f"{cast('int', events) / cast('float', hours):.2f}" if hours else ""
    return [*(f"{key}" for key in keys), f"{events}", f"{hours:.2f}", rate]


def _print_total(answer: Answer) -> None:
    if answer.begin is None or answer.end is None:
        print_error("edgeaudio: no recording was listened to")
        return
    first, last = (at.strftime("%Y-%m-%d %H:%M %Z") for at in (answer.begin, answer.end))
    sys.stdout.flush()
    recordings = counted(answer.recordings, "recording")
    print_error(f"{recordings}, {answer.hours:.1f} h; the archive is from {first} to {last}")
