"""What a run or a plan leaves out, in few lines: one of each kind, and how many are like it.

Owns: which refusals are of one kind, how many lines are printed, and the CSV in which all are.
Does not know: why something is left out.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from typing import Final, Self

from edgeaudio.archive.places import Place
from edgeaudio.archive.recordings import LeftOut
from edgeaudio.archive.runs import Shard
from edgeaudio.label_tables import csv_line
from edgeaudio.redact import mask
from edgeaudio.terminal import one_line, print_error, print_out

NAMED: Final = 10
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

    def tell(self, each: LeftOut) -> None:
        """Print the first of each kind when it happens, as long as there are few kinds."""
        self.count += 1
        self._csv.write(csv_line([each.path, mask(each.error)]).encode())
        kind = self._kinds.setdefault(_DIGITS.sub("#", each.error), _Kind(each))
        kind.count += 1
        if kind.count == 1 and len(self._kinds) <= NAMED:
            print_error(f"edgeaudio: {_line(each)}")

    def print_all(self, what: str) -> None:
        """Print how many there are, with the first ones of each kind."""
        if not self.count:
            return
        print_out(f"left out: {self.count} {what}")
        kinds = list(self._kinds.values())
        for kind in kinds[:NAMED]:
            more = f" (and {kind.count - 1:,} more like it)" if kind.count > 1 else ""
            print_out(f"  {_line(kind.first)}{more}")
        if len(kinds) > NAMED:
            print_out(f"  and {sum(kind.count for kind in kinds[NAMED:]):,} more, for other reasons")

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
