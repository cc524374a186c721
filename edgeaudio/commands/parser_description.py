"""The command line as data, read from its parsers: the input of the man page and of completions.

Owns: that reading. Does not know: how any of it is printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from edgeaudio.commands.parser import Parser

Values = Literal["none", "any", "file", "directory"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option or, without `names`, a positional argument."""

    names: tuple[str, ...]
    metavar: str
    help: str
    values: Values
    choices: tuple[str, ...] = ()
    repeats: bool = False  # True if it may be given more than once


@dataclass(frozen=True, slots=True)
class CommandDescription:
    """A command, and those below it."""

    name: str
    prog: str  # with the names of those above it
    help: str
    description: str
    options: tuple[Option, ...]
    places: tuple[Option, ...]
    commands: tuple[CommandDescription, ...]
    examples: tuple[str, ...]  # command lines that can be typed

    def all(self) -> Iterator[CommandDescription]:
        """Yield this command, and all below it."""
        yield self
        for command in self.commands:
            yield from command.all()


def describe(parser: Parser, name: str = "edgeaudio", help_text: str = "") -> CommandDescription:
    """Return the description of a parser and of all below it."""
    options: list[Option] = []
    places: list[Option] = []
    commands: list[CommandDescription] = []
    for action in parser._actions:  # noqa: SLF001 (argparse has no other list)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 (its only name)
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001 (as above)
            commands += [describe(sub, name, helps.get(name, "")) for name, sub in action.choices.items()]
        else:
            (options if action.option_strings else places).append(_option(action))
    text = parser.description or ""
    return CommandDescription(
        name, parser.prog, help_text, text, tuple(options), tuple(places), tuple(commands), parser.examples
    )


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs == 0:
        values: Values = "none"
        metavar = ""
    elif "FILE" in metavar or action.metavar == "SOURCE":  # which may be a file
        values = "file"
    elif metavar == "DIR":
        values = "directory"
    else:
        values = "any"
    shown = "|".join(choices) if choices and not isinstance(action.metavar, str) else metavar
    repeats = isinstance(action, argparse._AppendAction)  # noqa: SLF001 (its only name)
    return Option(tuple(action.option_strings), shown, (action.help or "") % vars(action), values, choices, repeats)
