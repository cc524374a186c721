"""docs/clips.md names the fields that a record has, the layouts of an export, and commands that can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from edgeaudio.cli import parser
from edgeaudio.clips.record import ClipRecord
from edgeaudio.commands.clips.export import LAYOUTS
from edgeaudio.commands.parser_description import describe

DOCUMENT = (Path(__file__).parents[1] / "docs" / "clips.md").read_text()


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if isinstance(kind, type)]
        part = next((kind for kind in kinds if issubclass(kind, BaseModel)), None)
        if part is None:
            yield prefix + name
        else:
            yield from fields_of(part, f"{prefix}{name}.")


def test_every_field_of_a_record_is_documented_and_nothing_else() -> None:
    section = DOCUMENT.partition("## The record")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `([\w.]+)` \|", section, re.MULTILINE) == list(fields_of(ClipRecord))


def test_every_layout_of_an_export_is_documented_and_nothing_else() -> None:
    section = DOCUMENT.partition("## List, show, keep and export")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(LAYOUTS)
    assert list(LAYOUTS) == _choices("export", "--layout")


def test_every_command_that_is_shown_can_be_typed() -> None:
    shown = re.findall(r"edgeaudio (clips [^|`#\n]+)", DOCUMENT)
    assert len(shown) > 5
    for line in shown:
        words = [word for word in shlex.split(line) if word != "ID"]
        given = words if len(words) > 2 or words[1] == "list" else [*words, "5f3a"]
        assert parser().parse_args(given).command


def _choices(action: str, option: str) -> list[str]:
    """Return what an option of `edgeaudio clips` may be."""
    (clips,) = (command for command in describe(parser()).commands if command.name == "clips")
    (found,) = (command for command in clips.commands if command.name == action)
    return next(list(each.choices) for each in found.options if option in each.names)
