"""The manual page, edgeaudio(1), made from the help.

Owns: its sections, and the markup of man(7). Does not know: the commands (parser_description.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from edgeaudio.commands.parser_description import CommandDescription, Option
from edgeaudio.version import __version__

FILES = {
    "/etc/edgeaudio/edgeaudio.toml": "the settings, where neither --config nor EDGEAUDIO_CONFIG names a file",
    "/var/lib/edgeaudio": "the outbox of a service: detections that the broker has not acknowledged",
}
ENVIRONMENT = {
    "EDGEAUDIO_CONFIG": "names the settings file",
    "EDGEAUDIO_COLLECT_DATABASE": "the database of collect, where --database does not name it",
    "EDGEAUDIO_FLEET_DATABASE": "the database of a fleet that the dashboard reads, where --database does not name it",
    "EDGEAUDIO_MODELS_DIR": "the folder of added models: else `models` in the state directory",
    "EDGEAUDIO_...": "a setting, as in EDGEAUDIO_MQTT__URL: stronger than the file, weaker than --set",
    "NO_COLOR": "where it is not empty, nothing is coloured",
    "COLUMNS": "how wide a terminal is, where that is not what it says itself",
}
STATUS = {
    "0": "all is well",
    "1": "a fault of edgeaudio's own",
    "2": "something must be mended: one line each says what",
}


# characters that roff takes for commands, or replaces by typographic ones
_ESCAPES = str.maketrans({"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti", ".": r"\&."})


def man_page(top: CommandDescription) -> str:
    """Return the page: `edgeaudio --man | man -l -` shows it."""
    return "\n".join(_lines(top)) + "\n"


def _lines(top: CommandDescription) -> Iterator[str]:
    yield f'.TH EDGEAUDIO 1 "" "edgeaudio {__version__}" "User Commands"'
    yield from (".nh", ".ad l")  # an option with a hyphen too many is another
    yield ".SH NAME"
    yield f"edgeaudio \\- {_text('hear cameras, streams and sound cards, and tell an MQTT broker')}"
    yield ".SH SYNOPSIS"
    for command in top.commands:
        yield f".B {_text(command.prog)}"
        yield _text(_synopsis(command))
        yield ".br"
    yield ".SH DESCRIPTION"
    yield _text(top.description)
    yield ".SH OPTIONS"
    yield from _options(top.options)
    yield ".SH COMMANDS"
    for command in list(top.all())[1:]:
        yield f".SS {_text(command.prog)}"
        yield _text(command.description)
        yield from _options((*command.places, *command.options))
        yield from _examples(command)
    yield ".SH EXIT STATUS"
    yield from _defined(STATUS)
    yield ".SH ENVIRONMENT"
    yield from _defined(ENVIRONMENT)
    yield ".SH FILES"
    yield from _defined(FILES)
    yield ".SH EXAMPLES"
    yield from _examples(top)


def _synopsis(command: CommandDescription) -> str:
    if command.commands:
        return f"{'|'.join(below.name for below in command.commands)} ..."
    return " ".join(
        [*(["[OPTION]..."] if len(command.options) > 1 else []), *(place.metavar for place in command.places)]
    )


def _options(options: tuple[Option, ...]) -> Iterator[str]:
    for option in options:
        names = ", ".join(option.names)
        yield ".TP"
        yield f".B {_text(' '.join(filter(None, [names, option.metavar])))}"
        yield _text(option.help or option.metavar)


def _examples(command: CommandDescription) -> Iterator[str]:
    if command.examples:
        yield ".PP"
        yield ".nf"
        yield from (f"    {_text(example)}" for example in command.examples)
        yield ".fi"


def _defined(meanings: dict[str, str]) -> Iterator[str]:
    for name, meaning in meanings.items():
        yield ".TP"
        yield f".B {_text(name)}"
        yield _text(meaning)


def _text(text: str) -> str:
    return text.translate(_ESCAPES)
