"""Memory of the agent with one live source and with ten, beside the textbook pipeline's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tools.benchmarks.contenders import Contender, agent, costs
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import Figure, Measured, Target
from tools.benchmarks.live_servers import AAC, camera, can_run
from tools.benchmarks.peer_interpreter import RUNTIME
from tools.benchmarks.streams import MANY, OURS, TEXTBOOK, textbook

UNIT = "MB"


def measure(*, short: bool) -> Iterator[Measured]:
    """Measure one source and ten; nothing in the short form."""
    if short or not can_run("the memory of streams"):
        return
    ours, other = Contender(OURS, agent()), textbook()
    one, many = _memory_mb(ours, 1), _memory_mb(ours, MANY)
    yield Figure("memory, one source", UNIT, one, {}, Target(85.0))
    yield Figure("memory, each source more", UNIT, (many - one) / (MANY - 1), {}, Target(2.0))
    if other:
        others = {TEXTBOOK: _memory_mb(other, MANY)}
        yield Figure(f"memory, {MANY} sources", UNIT, many, others, Target(0.1, TEXTBOOK), f"its runtime: {RUNTIME}")


def _memory_mb(contender: Contender, n_streams: int) -> float:
    # alone: processes that share a library's pages would each count a part of them
    with pinned(SERVERS):
        found = costs([contender], partial(camera, AAC), n_streams, rounds=1, seconds=2.0)
    return found[contender.name].memory_mb
