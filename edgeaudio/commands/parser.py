"""The parser of the command line, and the options that several commands have.

Owns: how help and usage errors look. Does not know: any command; each has its options in COMMAND_parser.py beside it.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from edgeaudio.commands.exit_status import EXIT_BAD_INPUT
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask
from edgeaudio.shards import Shard
from edgeaudio.terminal import one_line, print_error, print_out
from edgeaudio.urls import HIDDEN

_UNKNOWN = "unrecognized arguments:"
# as Python 3.14 has it; before, -33.9,151.2 and -03:00 were unknown options, and no value of one
_NEGATIVE = re.compile(r"-\.?\d")


class Parser(argparse.ArgumentParser):
    """Parser whose usage errors are one line without logins, and whose help ends in examples."""

    examples: tuple[str, ...] = ()  # command lines that can be typed

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 (argparse's own)
        super().__init__(*arguments, **options)
        self._negative_number_matcher = _NEGATIVE

    def parse_known_args(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 (argparse's own)
        """Return the options; of a subcommand too, which refuses what it does not know, so that its help is named."""
        namespace, unknown = super().parse_known_args(*arguments, **options)
        if unknown:
            self.error(f"{_UNKNOWN} {' '.join(unknown)}")
        return namespace, unknown

    def error(self, message: str) -> NoReturn:
        if message.startswith(_UNKNOWN):  # an option that nobody knows may be followed by, or hold, a password
            names = re.findall(r"(?<!\S)--[a-z][a-z-]*", message)
            message = f"{_UNKNOWN} {' '.join(names)}" if names else "unrecognized arguments"
        message = one_line(re.sub(r"\S*:\S*@\S*", HIDDEN, mask(message)))
        print_error(f"edgeaudio: {message}; see {self.prog} --help")
        raise SystemExit(EXIT_BAD_INPUT)

    def format_help(self) -> str:
        self.color = False  # of Python 3.14, whose escape sequences would be shown
        shown = "".join(f"  {line}\n" for line in self.examples)
        return super().format_help() + (f"\nexamples:\n{shown}" if shown else "")

    def _print_message(self, message: str, file: object = None) -> None:
        if file is sys.stderr and file is not None:
            print_error(message, end="")
        else:
            print_out(message, end="", flush=True)


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Parser]  # noqa: SLF001 (its only name)


def add_config(command: Parser) -> None:
    """Add `--config`."""
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the settings file (default: $EDGEAUDIO_CONFIG, else /etc/edgeaudio/edgeaudio.toml if it is there)",
    )


def add_settings(command: Parser) -> None:
    """Add `--config` and `--set`."""
    add_config(command)
    command.add_argument(
        "--set",
        dest="options",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one setting, stronger than file and environment, as in --set health.interval_s=10; may be repeated",
    )


def add_shard(command: Parser) -> None:
    """Add `--shard`, as two settings more."""
    command.add_argument(
        "--shard",
        dest="options",
        action="extend",
        default=[],
        type=_shard_settings,
        metavar="INDEX/COUNT",
        help="hear the sources of one shard of a centre, as in --shard 0/3 for the first of three",
    )


def _shard_settings(text: str) -> list[str]:
    try:
        shard = Shard.parse(text)
    except EdgeaudioError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return [f"shard.index={shard.index}", f"shard.count={shard.count}"]


def add_source(command: Parser) -> None:
    """Add the source that a command opens."""
    command.add_argument(
        "source",
        metavar="SOURCE",
        help="the name of a source in the settings, a file, alsa:DEVICE, or a URL without a login",
    )
