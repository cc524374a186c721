"""Subcommands and options of `edgeaudio clips`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.clips.times import moment
from edgeaudio.commands.number_types import number
from edgeaudio.commands.parser import Parser, add_config

if TYPE_CHECKING:
    from edgeaudio.commands.clips.choice import Filters
    from edgeaudio.commands.parser import Commands


def add_clips(commands: Commands) -> None:
    """Add `clips` and its subcommands to the command line."""
    clips = commands.add_parser(
        "clips",
        help="list, show, keep and export the clips of detections",
        description="A clip is the sound around a detection: a file with the sound and one with what is known of it. "
        "These commands read the folder of clips; the agent may be running.",
    )
    clips.examples = ("edgeaudio clips list", "edgeaudio clips export --layout audacity to-hear")
    actions = clips.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_list(actions)
    _add_show(actions)
    _add_keep(actions)
    _add_export(actions)


def _add_list(actions: Commands) -> None:
    command = actions.add_parser(
        "list",
        help="print a line for each clip, the newest first",
        description="Print a line for each clip, the newest first, with times in the local zone. Exit status 0 if "
        "all records and sounds are whole, else 2.",
    )
    _add_folder(command)
    _add_filters(command)
    command.add_argument("--json", action="store_true", help="print a JSON object a line instead of a table")
    command.examples = (
        "edgeaudio clips list --label dog --since 2026-11-30",
        "edgeaudio clips list --kept --json",
    )
    command.set_defaults(command=_list)


def _add_show(actions: Commands) -> None:
    command = actions.add_parser(
        "show",
        help="print all that is known of a clip",
        description="Print all that is known of a clip: times, score, model, files, and what is missing of its sound.",
    )
    _add_folder(command)
    command.add_argument("id", metavar="ID", help="of the clip, or the beginning of it")
    command.add_argument("--json", action="store_true", help="print a JSON object instead")
    command.examples = ("edgeaudio clips show 5f3a",)
    command.set_defaults(command=_show)


def _add_keep(actions: Commands) -> None:
    command = actions.add_parser(
        "keep",
        help="have clips kept for good",
        description="Mark clips, which the agent then never removes, however old they are and however full the disk.",
    )
    _add_folder(command)
    command.add_argument("ids", nargs="+", metavar="ID", help="of a clip, or the beginning of it")
    command.add_argument("--not", dest="unmark", action="store_true", help="take the marks away instead")
    command.examples = ("edgeaudio clips keep 5f3a 60b1", "edgeaudio clips keep --not 5f3a")
    command.set_defaults(command=_keep)


def _add_export(actions: Commands) -> None:
    command = actions.add_parser(
        "export",
        help="copy clips to a folder, in the layout of another program",
        description="Copy clips to a folder: those named, else those that pass the filters, else all. audacity: a "
        "label track beside each sound. raven: WAV, and a selection table. macaulay: WAV by source and day, and a "
        "table of what the Macaulay Library asks for. training: a folder for each label, as tools/train_model.py "
        "reads them.",
    )
    _add_folder(command)
    command.add_argument("target", type=Path, metavar="DIR", help="where to copy them; it is made if it is missing")
    command.add_argument("ids", nargs="*", metavar="ID", help="of a clip, or the beginning of it (default: all clips)")
    command.add_argument(
        "--layout",
        required=True,
        choices=("audacity", "raven", "macaulay", "training"),
        help="which program is to read it",
    )
    command.add_argument(
        "--format",
        choices=("wav", "original"),
        help="of the sounds (default: wav for raven and macaulay, else original)",
    )
    _add_filters(command)
    command.add_argument("--overwrite", action="store_true", help="replace files that are there already")
    command.examples = (
        "edgeaudio clips export --layout raven --label dog --min-score 0.8 dogs",
        "edgeaudio clips export --layout training --kept recordings",
    )
    command.set_defaults(command=_export)


def _add_folder(command: Parser) -> None:
    command.add_argument(
        "--folder", type=Path, metavar="DIR", help="the folder of clips (default: that of the settings)"
    )
    add_config(command)


def _add_filters(command: Parser) -> None:
    command.add_argument(
        "--source", action="append", default=[], metavar="NAME", help="only clips of this source; may be repeated"
    )
    command.add_argument(
        "--label", action="append", default=[], metavar="LABEL", help="only clips of this label; may be repeated"
    )
    command.add_argument(
        "--since",
        type=moment,
        metavar="TIME",
        help="only clips from then on, as 2026-11-30 or 2026-11-30T18:30 (local)",
    )
    command.add_argument("--until", type=moment, metavar="TIME", help="only clips before then")
    command.add_argument(
        "--min-score", type=number(0, 1), default=0.0, metavar="SCORE", help="only clips with at least this score"
    )
    command.add_argument("--kept", action="store_true", help="only clips that are marked to be kept")


def _folder(options: argparse.Namespace) -> Path:
    """Return the folder of clips. Raises EdgeaudioError."""
    if options.folder is not None:
        folder: Path = options.folder
        return folder
    from edgeaudio.settings import load_settings

    return load_settings(options.config).clips_folder


def _filters(options: argparse.Namespace) -> Filters:
    from edgeaudio.commands.clips.choice import Filters

    return Filters(
        sources=tuple(options.source),
        labels=tuple(options.label),
        since=options.since,
        until=options.until,
        min_score=options.min_score,
        kept=options.kept,
    )


def _list(options: argparse.Namespace) -> int:
    from edgeaudio.commands.clips.listing import list_clips

    return list_clips(_folder(options), _filters(options), as_json=options.json)


def _show(options: argparse.Namespace) -> int:
    from edgeaudio.commands.clips.show import show

    return show(_folder(options), options.id, as_json=options.json)


def _keep(options: argparse.Namespace) -> int:
    from edgeaudio.commands.clips.keep import keep

    return keep(_folder(options), tuple(options.ids), kept=not options.unmark)


def _export(options: argparse.Namespace) -> int:
    from edgeaudio.commands.clips.export import Wishes, export
    from edgeaudio.health.machine import bounded_memory

    wishes = Wishes(
        layout=options.layout,
        filters=_filters(options),
        ids=tuple(options.ids),
        wav=None if options.format is None else options.format == "wav",
        overwrite=options.overwrite,
    )
    with bounded_memory():
        return export(_folder(options), options.target, wishes)
