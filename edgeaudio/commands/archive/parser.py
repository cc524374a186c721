"""Subcommands and options of `edgeaudio archive`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from edgeaudio.commands.archive.answers_parser import add_compact, add_export, add_query, not_empty
from edgeaudio.commands.archive.extra import needing_extra
from edgeaudio.commands.number_types import number, whole
from edgeaudio.commands.parser import Parser

if TYPE_CHECKING:
    from edgeaudio.commands.archive.wishes import Wishes
    from edgeaudio.commands.parser import Commands
    from edgeaudio.types import Channel

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})", re.ASCII)


def add_archive(commands: Commands) -> None:
    """Add `archive` and its subcommands to the command line."""
    archive = commands.add_parser(
        "archive",
        help="listen to a whole archive of recordings, and ask what was heard",
        description="Listen to every recording below a folder, once, as fast as the machine can, and keep what was "
        "heard in Parquet files. Needs the extra: pip install '.[archive]' in edgeaudio's checkout.",
    )
    archive.examples = (
        "edgeaudio archive plan recordings --out heard --zone UTC",
        "edgeaudio archive run recordings --out heard --zone UTC",
        "edgeaudio archive query heard --by label,month",
    )
    actions = archive.add_subparsers(title="actions", metavar="ACTION", required=True)
    _add_plan(actions)
    _add_run(actions)
    _add_status(actions)
    add_query(actions)
    add_export(actions)
    add_compact(actions)


def _add_plan(actions: Commands) -> None:
    command = actions.add_parser(
        "plan",
        help="say what a run would do",
        description="Say what a run would do: recordings and hours by month, what is done already, gaps and overlaps "
        "between recordings, and what cannot be listened to, and why. Nothing is decoded, and nothing is written. Exit "
        "status 0 if everything can be listened to, 1 if some is left out, 2 if nothing can.",
    )
    _add_recordings(command)
    _add_hearing(command)
    command.add_argument("--gaps", action="store_true", help="list every gap and overlap, not only their number")
    command.examples = ("edgeaudio archive plan recordings --out heard --zone Australia/Sydney --gaps",)
    command.set_defaults(command=needing_extra(_plan))


def _add_run(actions: Commands) -> None:
    command = actions.add_parser(
        "run",
        help="listen to what is not done yet",
        description="Listen to every recording that has no result yet, in a process for each core. What is done is "
        "never done again: end it with Ctrl-C whenever you like, and run it again to go on. Exit status 0 if all "
        "is done, 1 if some recordings were left out (a line each says why), 2 if nothing could be done.",
    )
    _add_recordings(command)
    _add_hearing(command)
    command.add_argument(
        "--workers", type=whole(1, 1024), metavar="N", help="how many processes (default: one for each core)"
    )
    command.add_argument(
        "--scheduler",
        metavar="URL",
        help="hand the recordings to the workers of a Dask: tcp://HOST:PORT (or tls://) of its scheduler",
    )
    command.examples = (
        "edgeaudio archive run recordings --model home --out heard --zone UTC",
        "edgeaudio archive run /nas/recordings --out /nas/heard --zone UTC --scheduler tcp://10.0.0.5:8786",
        "edgeaudio archive run recordings --out heard --zone UTC --shard 3/40",
    )
    command.set_defaults(command=needing_extra(_run))


def _add_status(actions: Commands) -> None:
    command = actions.add_parser(
        "status",
        help="say what is done",
        description="Say for each model and its settings what is done, how many hours, what is left of the recordings "
        "that the last run found, which failed, and which were left out. Exit status 0 if none was, else 1.",
    )
    command.add_argument("--out", required=True, type=not_empty, metavar="DIR", help="where the results are")
    command.examples = ("edgeaudio archive status --out heard",)
    command.set_defaults(command=needing_extra(_status))


def _add_recordings(command: Parser) -> None:
    command.add_argument(
        "recordings",
        type=not_empty,
        metavar="FOLDER",
        help="a folder of recordings, a pattern, as in 'site*/*.wav', or s3://BUCKET/PREFIX",
    )
    command.add_argument(
        "--out",
        required=True,
        type=not_empty,
        metavar="DIR",
        help="where the results go, a folder or s3://BUCKET/PREFIX; it is made if it is missing",
    )
    command.add_argument(
        "--zone",
        metavar="ZONE",
        help="the time zone of the recorder's clock, for times that are written without one, such as UTC or +01:00",
    )
    command.add_argument(
        "--begins",
        type=Path,
        metavar="CSV",
        help="a table with the columns file and begins_at, for recordings whose names do not tell when they begin",
    )
    command.add_argument(
        "--shard",
        type=_shard,
        default=(0, 1),
        metavar="I/N",
        help="only part I, from 0, of N equal parts: each machine of several does one",
    )


def _add_hearing(command: Parser) -> None:
    command.add_argument(
        "--model",
        default="home",
        metavar="DIR",
        help="a model directory, or the name of a bundled or added model (default: home)",
    )
    command.add_argument(
        "--scores",
        type=number(0, 1),
        metavar="FLOOR",
        help="keep the scores of single clips too, from FLOOR on (default: events alone)",
    )
    command.add_argument(
        "--threshold",
        type=_threshold,
        action="append",
        default=[],
        metavar="LABEL=SCORE",
        help="the score at which a label's events begin (default: the model's own); may be repeated",
    )
    command.add_argument(
        "--gate", type=number(-200, 0), default=-60.0, metavar="DBFS", help="quieter clips are silence (default: -60)"
    )
    command.add_argument(
        "--channel",
        type=_channel,
        default="auto",
        metavar="N",
        help="listen to one channel, from 1, or to the mean: mix (default: the mean, or the loudest if they cancel)",
    )


def _shard(text: str) -> tuple[int, int]:
    match = _SHARD.fullmatch(text)
    if match is None or not int(match[1]) < int(match[2]):
        raise argparse.ArgumentTypeError(f"{text} is no part: write 0/40 to 39/40 for 40 parts")
    return int(match[1]), int(match[2])


def _threshold(text: str) -> tuple[str, float]:
    label, _, score = text.rpartition("=")
    if not label:
        raise argparse.ArgumentTypeError(f"{text} is no threshold: write LABEL=SCORE, as in dog=0.7")
    return label, number(0, 1)(score)


def _channel(text: str) -> Channel:
    return text if text in ("auto", "mix") else whole(1, 64)(text)  # type: ignore[return-value]


def _wishes(options: argparse.Namespace) -> Wishes:
    from edgeaudio.commands.archive.wishes import Wishes

    return Wishes(
        recordings=options.recordings,
        out=options.out,
        zone=options.zone,
        begins=options.begins,
        shard=options.shard,
        model=options.model,
        scores=options.scores,
        thresholds=dict(options.threshold),
        gate_dbfs=options.gate,
        channel=options.channel,
    )


def _plan(options: argparse.Namespace) -> int:
    from edgeaudio.commands.archive.plan import plan

    return plan(_wishes(options), list_gaps=options.gaps)


def _run(options: argparse.Namespace) -> int:
    from edgeaudio.commands.archive.run import run

    return run(_wishes(options), workers=options.workers, scheduler=options.scheduler)


def _status(options: argparse.Namespace) -> int:
    from edgeaudio.commands.archive.status import status

    return status(options.out)
