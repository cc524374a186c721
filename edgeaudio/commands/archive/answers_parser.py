"""Options of `edgeaudio archive query`, `export` and `compact`: what is asked of results."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.archive.extra import needing_extra
from edgeaudio.commands.clips.times import written_moment
from edgeaudio.commands.number_types import number, whole
from edgeaudio.commands.parser import Parser

if TYPE_CHECKING:
    from edgeaudio.archive.selection import Filters
    from edgeaudio.archive.sites import Sites
    from edgeaudio.archive.sun import Place
    from edgeaudio.commands.parser import Commands

KEYS = ("label", "site", "day", "hour", "month")
PICTURES = (".webp", ".png", ".jpg", ".jpeg")
_HOURS = re.compile(r"(\d{1,2})-(\d{1,2})", re.ASCII)
_HOUR_S = 3600.0


def add_query(actions: Commands) -> None:
    """Add `query`."""
    command = actions.add_parser(
        "query",
        help="count what was heard",
        description="Count what was heard, by label, site, day, hour or month, beside the hours that were listened to: "
        "a cell without recordings is left out, one without events has 0. As a table, CSV, JSON, or a picture of days "
        "and hours. Exit status 0 if all results could be read, 1 if some were left out, 2 if nothing could be asked.",
    )
    _add_results(command)
    command.add_argument(
        "--by", type=_keys, metavar="KEYS", help="some of label, site, day, hour and month (default: label)"
    )
    _add_filters(command)
    shown = command.add_mutually_exclusive_group()
    shown.add_argument("--csv", action="store_true", help="print CSV instead of a table")
    shown.add_argument("--json", action="store_true", help="print a JSON object a line instead of a table")
    shown.add_argument(
        "--picture",
        type=_picture,
        metavar="FILE",
        help="draw days and hours into FILE, whose name ends in .webp, .png or .jpg; needs Pillow",
    )
    command.add_argument(
        "--place", type=_place, metavar="LAT,LON", help="draw sunrise, sunset, dawn and dusk of a place, in degrees"
    )
    command.add_argument("--overwrite", action="store_true", help="replace the picture if it is there")
    command.examples = (
        "edgeaudio archive query heard --by label,month",
        "edgeaudio archive query heard --label dog_bark --zone Europe/Berlin --picture dogs.webp --place 53.9,9.1",
    )
    command.set_defaults(command=needing_extra(_query))


def add_export(actions: Commands) -> None:
    """Add `export`."""
    command = actions.add_parser(
        "export",
        help="write what was heard for another program, or the best of each label as clips",
        description="Write events as other programs read them. raven: a selection table for each recording. audacity: "
        "a label track for each. kaleidoscope, csv: one table of all. clips: the best of each label as sound, and a "
        "table for what a person says of them. Exit status 0 if all was written, 1 if some was left out, else 2.",
    )
    _add_results(command)
    command.add_argument(
        "--format",
        required=True,
        choices=("raven", "audacity", "kaleidoscope", "csv", "clips"),
        help="which program is to read it",
    )
    command.add_argument("--to", dest="target", type=Path, required=True, metavar="DIR", help="the folder to write to")
    command.add_argument(
        "--recordings", type=Path, metavar="FOLDER", help="the folder that was listened to; clips are cut from it"
    )
    command.add_argument(
        "--best", type=whole(1, 10_000), default=20, metavar="N", help="how many clips of each label (default: 20)"
    )
    command.add_argument("--sound", choices=("flac", "wav"), default="flac", help="of the clips (default: flac)")
    _add_filters(command)
    command.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    command.examples = (
        "edgeaudio archive export heard --format raven --to tables --label dog",
        "edgeaudio archive export heard --format clips --best 50 --recordings recordings --to to-judge",
    )
    command.set_defaults(command=needing_extra(_export))


def add_compact(actions: Commands) -> None:
    """Add `compact`."""
    command = actions.add_parser(
        "compact",
        help="make one file a month of the results",
        description="Make one file a month of the results of single recordings, which are asked faster then. What is "
        "done stays done. It may be ended at any moment, and called again. Exit status 0 if all results are in months, "
        "1 if some were left as they are, else 2.",
    )
    _add_results(command)
    command.examples = ("edgeaudio archive compact heard",)
    command.set_defaults(command=needing_extra(_compact))


def _add_results(command: Parser) -> None:
    command.add_argument("out", type=_folder, metavar="OUT", help="where `archive run` wrote the results")
    command.add_argument(
        "--results", metavar="NAME", help="which results, where OUT has those of several models or settings"
    )


def _add_filters(command: Parser) -> None:
    command.add_argument(
        "--label", action="append", default=[], metavar="LABEL", help="only events of this label; may be repeated"
    )
    command.add_argument(
        "--score", type=number(0, 1), default=0.0, metavar="SCORE", help="only events with at least this score"
    )
    command.add_argument(
        "--since", type=written_moment, metavar="TIME", help="only from then on, as 2026-11-30 or 2026-11-30T18:30"
    )
    command.add_argument("--until", type=written_moment, metavar="TIME", help="only before then")
    command.add_argument(
        "--hours", type=_hours, metavar="H-H", help="only those hours of the day, as 22-5: from 22:00 to before 5:00"
    )
    command.add_argument(
        "--zone",
        default="UTC",
        metavar="ZONE",
        help="the zone of days, hours and times, as Europe/Berlin (default: UTC)",
    )
    command.add_argument(
        "--site", action="append", default=[], metavar="SITE", help="only recordings of this site; may be repeated"
    )
    command.add_argument(
        "--sites",
        type=Path,
        metavar="CSV",
        help="a table of sites: prefix, site, recorder, depth_m, latitude, longitude (default: the first folder is "
        "the site)",
    )
    command.add_argument(
        "--merge",
        type=number(0, _HOUR_S),
        metavar="S",
        help="make one of events of a label that are at most S seconds apart",
    )


def not_empty(text: str) -> str:
    """Return the text. Raises ArgumentTypeError for none, as of a shell's variable that was never set."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no folder")
    return text


def _folder(text: str) -> Path:
    if "://" in text:
        raise argparse.ArgumentTypeError(
            "results are asked in a folder: copy them from the bucket to this machine first"
        )
    return Path(not_empty(text))


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(text.split(","))
    if not set(keys) <= set(KEYS):
        raise argparse.ArgumentTypeError(f"{text} is not some of {','.join(KEYS)}")
    return keys


def _hours(text: str) -> tuple[int, int]:
    match = _HOURS.fullmatch(text)
    first, last = (int(match[1]), int(match[2])) if match else (24, 24)
    if first > 23 or last > 24 or first == last:
        raise argparse.ArgumentTypeError(f"{text} is no span of hours; write 22-5 or 0-6")
    return first, last


def _place(text: str) -> Place:
    from edgeaudio.archive.sun import Place

    latitude, _, longitude = text.partition(",")
    try:
        return Place(number(-90, 90)(latitude), number(-180, 180)(longitude))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text} is no place; write latitude,longitude in degrees, as 53.9,9.1"
        ) from None


def _picture(text: str) -> Path:
    file = Path(text)
    if file.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text}: the end of its name gives the format: {', '.join(PICTURES)}")
    return file


def _filters(options: argparse.Namespace) -> Filters:
    from edgeaudio.archive.selection import Filters
    from edgeaudio.archive.written_times import named_zone
    from edgeaudio.errors import EdgeaudioError

    zone = named_zone(options.zone)
    begin, end = (
        at if at is None or at.tzinfo is not None else at.replace(tzinfo=zone) for at in (options.since, options.until)
    )
    if begin is not None and end is not None and begin >= end:
        raise EdgeaudioError("the time begins when it has ended; give an earlier beginning")
    return Filters(
        labels=tuple(options.label),
        score=options.score,
        begin=begin,
        end=end,
        sites=tuple(options.site),
        hours=options.hours,
        zone=options.zone,
    )


def _sites(options: argparse.Namespace) -> Sites | None:
    from edgeaudio.archive.sites import read_sites

    return None if options.sites is None else read_sites(options.sites)


def _query(options: argparse.Namespace) -> int:
    from edgeaudio.commands.archive.query import Wishes, query

    wishes = Wishes(
        by=options.by,
        filters=_filters(options),
        sites=_sites(options),
        merge_s=options.merge,
        form="csv" if options.csv else "json" if options.json else "table",
        picture=options.picture,
        place=options.place,
        overwrite=options.overwrite,
    )
    return query(options.out, options.results, wishes)


def _export(options: argparse.Namespace) -> int:
    from edgeaudio.commands.archive.export import export

    return export(options, _filters(options), _sites(options))


def _compact(options: argparse.Namespace) -> int:
    from edgeaudio.commands.archive.compact import compact

    return compact(options.out, options.results)
