"""Where results go, a package per sink. Sinks know the ground floor, the hub and health, and never each other.

`Sink` is the interface of a best-effort sink; CONTRIBUTING.md says how one is added. The MQTT sink is not best-effort:
it sends what the outbox holds, and retries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Sink(Protocol):
    """A consumer of what the hub publishes, run in a thread of its own.

    An exception from any method disables the sink; it is reported in health, and opened again after a while. Until a
    method returns, items wait in a bounded queue that drops the oldest.
    """

    name: str  # in health and in the log
    max_s: float  # seconds of Blocks of a source that may wait

    @property  # so that type checkers take `accepts = frozenset({Event})`
    def accepts(self) -> frozenset[type]:
        """The types of edgeaudio/types.py, or of another sink's results, that `handle` takes."""

    def open(self) -> None:
        """Open files and connections; called before the first item, and again after a failure."""

    def handle(self, item: object) -> None:
        """Handle one item of a type in `accepts`."""

    def close(self) -> None:
        """Close everything; called once after each `open` that returned."""


@runtime_checkable
class CountingSink(Sink, Protocol):
    """A sink that counts the results that it took and could not write."""

    lost: int  # since it was made


@runtime_checkable
class TickingSink(Sink, Protocol):
    """A sink that also works while nothing comes."""

    def tick(self) -> None:
        """Do what is due; called about twice a second, or more often."""


@runtime_checkable
class BusySink(TickingSink, Protocol):
    """A sink whose `tick` may have more to do at once."""

    is_busy: bool  # `tick` is called again without waiting for an item


@runtime_checkable
class PublishingSink(Sink, Protocol):
    """A sink with results for other sinks."""

    publish: Callable[[object], None]  # to the hub; set before `open`


@runtime_checkable
class TroubledSink(Sink, Protocol):
    """A sink that handles failures of a server itself."""

    trouble: str  # one line for people, without secrets; empty: it has none
