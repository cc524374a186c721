"""Memory of the agent with one live source and with ten, beside the textbook pipeline's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tools.benchmarks.contenders import Contender, agent, costs
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import Figure, Measured, Target
from tools.benchmarks.live_servers import AAC, camera, can_run
from tools.benchmarks.streams import MANY, OURS, TEXTBOOK, textbook

UNIT = "MB"


def measure(*, short: bool) -> Iterator[Measured]:
    """Measure one source and ten; nothing in the short form."""
    if short or not can_run("the memory of streams"):
        return
    contenders = [each for each in (Contender(OURS, agent()), textbook()) if each]
    found = {n_streams: _memory_mb(contenders, n_streams) for n_streams in (1, MANY)}
    one, many = found[1], found[MANY]
    yield Figure("memory, one source", UNIT, one[OURS], _others(one), Target(85.0))
    more = {name: (many[name] - one[name]) / (MANY - 1) for name in many}
    yield Figure("memory, each source more", UNIT, more[OURS], _others(more), Target(2.0))
    if TEXTBOOK in many:
        yield Figure(f"memory, {MANY} sources", UNIT, many[OURS], _others(many), Target(0.1, TEXTBOOK))


def _memory_mb(contenders: list[Contender], n_streams: int) -> dict[str, float]:
    with pinned(SERVERS):
        # one after the other: processes that share a library's pages would each count a part of them
        found = [costs([each], partial(camera, AAC), n_streams, rounds=1, seconds=2.0) for each in contenders]
    return {name: cost.memory_mb for each in found for name, cost in each.items()}


def _others(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if name != OURS}
