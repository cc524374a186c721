"""Options of `edgeaudio test`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeaudio.commands.health_parser import state_dir
from edgeaudio.commands.parser import add_config

if TYPE_CHECKING:
    from edgeaudio.commands.parser import Commands


def add_test(commands: Commands) -> None:
    """Add `test` to the command line."""
    test = commands.add_parser(
        "test",
        help="have the running agent send a detection that is marked as a test",
        description="Have the agent that runs on this machine send a detection, by its outbox and the broker, as if it "
        "had been heard: to see that a notification arrives. It is marked by `test`, and the sound ends after 2 s.",
    )
    test.add_argument("source", help="name of the source, as in the settings")
    test.add_argument("label", help="label or group of one of its models")
    add_config(test)
    test.examples = ("edgeaudio test porch smoke_alarm",)
    test.set_defaults(command=_test)


def _test(options: argparse.Namespace) -> int:
    from edgeaudio.commands import send_test

    return send_test.send_test(lambda: state_dir(options), options.source, options.label)
