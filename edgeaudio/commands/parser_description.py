"""The command line as data, read from its parsers: what the man page and the shells' completions are made from.

Owns: that reading, and the examples of each command.
Does not know: how any of it is written down.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Values = Literal["none", "any", "file", "directory"]

EXAMPLES = {
    "edgeaudio": (
        "edgeaudio setup",
        "edgeaudio check --config edgeaudio.toml",
        "edgeaudio run --config edgeaudio.toml",
    ),
    "edgeaudio setup": ("edgeaudio setup", "edgeaudio setup --config edgeaudio.toml"),
    "edgeaudio run": (
        "edgeaudio run --config edgeaudio.toml",
        "edgeaudio run --set sources.desk.url=alsa:default --set mqtt.url=mqtt://broker.local",
    ),
    "edgeaudio demo": ("edgeaudio demo", "edgeaudio demo --broker mqtt://broker.local"),
    "edgeaudio check": (
        "edgeaudio check --config edgeaudio.toml",
        "edgeaudio check --offline --config edgeaudio.toml",
        "edgeaudio check --example >edgeaudio.toml",
    ),
    "edgeaudio health": ("edgeaudio health", "edgeaudio health --json"),
    "edgeaudio test": ("edgeaudio test porch smoke_alarm",),
    "edgeaudio probe": (
        "edgeaudio probe recording.flac",
        "edgeaudio probe --config edgeaudio.toml porch --seconds 10",
        "edgeaudio probe alsa:default",
    ),
    "edgeaudio score": (
        "edgeaudio score recording.flac",
        "edgeaudio score --model alarms --top 1 recording.flac",
        "edgeaudio score --events --config edgeaudio.toml porch",
    ),
    "edgeaudio model": ("edgeaudio model inspect home", "edgeaudio model verify home"),
    "edgeaudio model init": (
        "edgeaudio model init birds.tflite --kind waveform --sample-rate 48000 --labels labels.txt",
        "edgeaudio model init birds.tflite --preset librosa --set features.n_fft=512",
    ),
    "edgeaudio model inspect": ("edgeaudio model inspect home", "edgeaudio model inspect birds.tflite"),
    "edgeaudio model verify": ("edgeaudio model verify home", "edgeaudio model verify ./birds"),
}


@dataclass(frozen=True, slots=True)
class Option:
    """An option or, without `names`, what stands at a place of its own."""

    names: tuple[str, ...]
    metavar: str
    help: str
    values: Values
    choices: tuple[str, ...] = ()
    repeats: bool = False  # it may be given more than once


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

    @property
    def examples(self) -> tuple[str, ...]:
        """Lines that can be typed."""
        return EXAMPLES.get(self.prog, ())

    def all(self) -> Iterator[CommandDescription]:
        """This command, and all below it."""
        yield self
        for command in self.commands:
            yield from command.all()


def describe(parser: argparse.ArgumentParser, name: str = "edgeaudio", said: str = "") -> CommandDescription:
    """All that a parser takes."""
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
    return CommandDescription(name, parser.prog, said, text, tuple(options), tuple(places), tuple(commands))


def _option(action: argparse.Action) -> Option:
    choices = tuple(map(str, action.choices or ()))
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs == 0:
        values: Values = "none"
        metavar = ""
    elif "FILE" in metavar or action.metavar == "SOURCE":  # which may be a file, where it is called that
        values = "file"
    elif metavar == "DIR":
        values = "directory"
    else:
        values = "any"
    shown = "|".join(choices) if choices and not isinstance(action.metavar, str) else metavar
    repeats = isinstance(action, argparse._AppendAction)  # noqa: SLF001 (its only name)
    return Option(tuple(action.option_strings), shown, (action.help or "") % vars(action), values, choices, repeats)
