"""The books of the proofs find what must not be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from chaos.events import Key, committed, compare

ONSET, OFFSET = ("a", "onset"), ("a", "offset")


class Heard:
    """A subscriber that heard those events, as (id, kind), each sound at a time of its own."""

    def __init__(self, *events: Key, at: dict[str, str] | None = None) -> None:
        at = at or {}
        self._events = [
            {"id": name, "kind": kind, "source": "yard", "label": "dog", "at": at.get(name, name)}
            for name, kind in events
        ]

    def detections(self) -> list[dict[str, Any]]:
        return self._events


def test_repetitions_are_counted_and_are_no_fault() -> None:
    books = compare([ONSET, OFFSET], Heard(ONSET, ONSET, OFFSET, ONSET))
    assert (books.committed, books.received, books.repeated, books.faults) == (2, 2, 2, ())


@pytest.mark.parametrize(
    ("promised", "heard", "fault"),
    [
        ([ONSET, OFFSET], Heard(ONSET), "1 committed events were not received"),
        ([ONSET, ("b", "onset")], Heard(("b", "onset"), ONSET), "another order"),
        ([ONSET], Heard(ONSET, ("b", "onset"), at={"a": "noon", "b": "noon"}), "1 events were received under two ids"),
        ([], Heard(OFFSET, ONSET), "the offset of a came before its onset"),
        ([], Heard(OFFSET), "the offset of a came before its onset"),
    ],
)
def test_what_must_not_be_is_found(promised: list[Key], heard: Heard, fault: str) -> None:
    (found,) = compare(promised, heard).faults
    assert fault in found


def test_the_log_tells_what_was_committed(tmp_path: Path) -> None:
    name = "59dd1666-a810-58b1-8e57-9373629bec53"
    log = tmp_path / "log"
    log.write_text(f"x DEBUG y: committed onset {name}\nyard: dog onset, score 0.9\nx committed offset {name}\n")
    assert committed(log) == [(name, "onset"), (name, "offset")]
