"""Options of `edgeaudio score`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeaudio.commands.number_types import whole
from edgeaudio.commands.parser import add_settings, add_source

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_score(commands: Commands) -> None:
    """Add `score` to the command line."""
    score = commands.add_parser(
        "score",
        help="say what a model hears in a recording or a stream",
        description="Run a model over a recording, as fast as it goes, or over a live stream, and print the best "
        "labels of every clip; or, with --events, what the agent would have reported.",
    )
    add_source(score)
    add_settings(score)
    score.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="DIR",
        help="a model directory, or a bundled or added model's name; may be repeated (default: those of the settings)",
    )
    score.add_argument(
        "--top", type=whole(1, 10_000), default=3, metavar="K", help="how many labels a clip (default: 3)"
    )
    score.add_argument("--events", action="store_true", help="print events, by the thresholds in force, not scores")
    score.add_argument("--json", action="store_true", help="print a JSON object a line instead of a table")
    score.examples = (
        "edgeaudio score recording.flac",
        "edgeaudio score --model alarms --top 1 recording.flac",
        "edgeaudio score --events --config edgeaudio.toml porch",
    )
    score.set_defaults(command=_score)


def _score(options: argparse.Namespace) -> int:
    from edgeaudio.commands import score
    from edgeaudio.health.machine import bounded_memory

    with bounded_memory():
        return score.score(
            options.source,
            options.config,
            options.options,
            score.Style(top=options.top, events=options.events, as_json=options.json),
            models=options.model,
        )
