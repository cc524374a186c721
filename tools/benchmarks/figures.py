"""What a measurement gives: figures beside those of peers and floors from the same run, and lines of growth.

Owns: the types, and whether a figure reaches its target. Pure. Does not know: how anything is measured or shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

FLOOR = "floor"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach: a limit of its ratio to one of the others or, without one, of itself."""

    limit: float
    over: str = ""  # name among the figure's others
    at_least: bool = False  # otherwise at most


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure, with what was measured beside it in the same run."""

    name: str
    unit: str
    ours: float
    others: Mapping[str, float] = field(default_factory=dict)  # peers and floors, by name, in the same unit
    target: Target | None = None
    note: str = ""  # what bounds it, where the target is not reached

    def ratio(self, other: str) -> float:
        """Return our figure divided by another's."""
        return self.ours / self.others[other]

    @property
    def holds(self) -> bool | None:
        """True if the target is reached; None without one, or where its other was not measured."""
        target = self.target
        if target is None or (target.over and target.over not in self.others):
            return None
        value = self.ratio(target.over) if target.over else self.ours
        return value >= target.limit if target.at_least else value <= target.limit


@dataclass(frozen=True, slots=True)
class Growth:
    """How one figure grows with another."""

    name: str
    grows_with: str  # with its unit
    unit: str
    points: tuple[tuple[float, float], ...]  # in order


Measured = Figure | Growth


class Section(Protocol):
    """A part of the run. `short`: the form for CI, seconds and not minutes."""

    def __call__(self, *, short: bool) -> Iterator[Measured]: ...
