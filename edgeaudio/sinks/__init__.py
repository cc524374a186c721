"""Where results go: a package a sink. Sinks know the ground floor, the hub's values and health, and never each other.

`Sink` is what a best-effort sink must offer; docs/architecture.md and CONTRIBUTING.md say how one is added. The MQTT
sink is no such one: it is what the agent is for, and empties the outbox.
"""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Something that takes what the hub publishes, in a thread of its own, as well as it can.

    An exception from any method disables the sink; it is told in health, and opened again after a while. While a
    method has not returned, items wait, and the oldest of too many are dropped.
    """

    name: str  # in health and in the log
    max_s: float  # seconds of Blocks of a source that may wait

    @property  # so that type checkers take `accepts = frozenset({Event})`
    def accepts(self) -> frozenset[type]:
        """The types of edgeaudio/types.py, or of another sink's results, that it is handed."""

    def open(self) -> None:
        """Begin; called before the first item, and again after a failure."""

    def handle(self, item: object) -> None:
        """Take one item of a type in `accepts`."""

    def close(self) -> None:
        """End; called once after each `open` that returned."""
