"""docs/clips.md names the fields that a record has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from pydantic import BaseModel

from edgeaudio.clips.record import ClipRecord

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
