"""What a run or a plan leaves out, in few lines: one of each kind, and how many are like it.

Owns: which refusals are of one kind, how many lines are printed, and the CSV in which all are.
Does not know: why something is left out.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from edgeaudio.archive.places import Place
from edgeaudio.archive.recordings import LeftOut
from edgeaudio.archive.runs import Shard
from edgeaudio.console import counted
from edgeaudio.label_tables import csv_line
from edgeaudio.redact import mask
from edgeaudio.terminal import one_line, print_error, print_out

NAMED: Final = 10
_KEPT = re.compile(r"left-out(-\d+-of-\d+)?\.csv")
_DIGITS = re.compile(r"[0-9]+")


@dataclass(slots=True)
class _Kind:
    """Refusals whose reasons differ in nothing but numbers."""

    first: LeftOut
    count: int = 0


class LeftOutLines:
    """Lines on what is left out; use it in a `with` block."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: dict[str, _Kind] = {}
        self._csv = tempfile.SpooledTemporaryFile(1 << 20)  # noqa: SIM115 (closed by __exit__)
        self._csv.write(csv_line(["recording", "reason"]).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._csv.close()

    @classmethod
    def kept(cls, place: Place, others: Collection[str]) -> LeftOutLines:
        """Return what the last run (all parts of one) left out of a place, without some recordings. Raises OSError."""
        found: dict[str, LeftOut] = {}
        for name in place.storage.names(""):
            if _KEPT.fullmatch(name):
                with suppress(FileNotFoundError, csv.Error):  # gone meanwhile, or damaged
                    rows = csv.reader(io.StringIO(place.storage.read(name).decode("utf-8", "replace"), newline=""))
                    found |= {row[0]: LeftOut(*row) for row in [*rows][1:] if len(row) == 2 and row[0] not in others}
        with cls() as lines:
            for each in found.values():
                lines._add(each)
        return lines

    def tell(self, each: LeftOut) -> None:
        """Print the first of each kind when it happens, as long as there are few kinds."""
        if self._add(each) and len(self._kinds) <= NAMED:
            print_error(f"edgeaudio: {_line(each)}")

    def _add(self, each: LeftOut) -> bool:
        """Count it; True if it is the first of its kind."""
        self.count += 1
        self._csv.write(csv_line([each.path, mask(each.error)]).encode())
        kind = self._kinds.setdefault(_DIGITS.sub("#", each.error), _Kind(each))
        kind.count += 1
        return kind.count == 1

    def print_all(self, noun: str) -> None:
        """Print how many there are, with the first ones of each kind."""
        for line in self.lines(noun):
            print_out(line)

    def lines(self, noun: str) -> Iterator[str]:
        """Yield how many there are, and the first ones of each kind; nothing if there are none."""
        if not self.count:
            return
        yield f"left out: {counted(self.count, noun)}"
        kinds = list(self._kinds.values())
        for kind in kinds[:NAMED]:
            more = f" (and {kind.count - 1:,} more like it)" if kind.count > 1 else ""
            yield f"  {_line(kind.first)}{more}"
        if len(kinds) > NAMED:
            yield f"  and {sum(kind.count for kind in kinds[NAMED:]):,} more, for other reasons"

    def keep(self, place: Place, shard: Shard) -> str | None:
        """Write all of them into the place's CSV, or remove it; return its address. Raises OSError."""
        name = "left-out.csv" if shard.count == 1 else f"left-out-{shard.index}-of-{shard.count}.csv"
        if not self.count:
            place.storage.remove(name)
            return None
        self._csv.seek(0)
        place.storage.write(name, self._csv.read())
        return f"{place.address}/{name}"


def _line(each: LeftOut) -> str:
    return f"{one_line(each.path)}: {one_line(mask(each.error))}"
