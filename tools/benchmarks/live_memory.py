"""Memory of the agent with one live source and with ten, beside the floor's and the textbook pipeline's."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import partial

import numpy as np

from edgeaudio.recognise.bundled_models import DEFAULT_MODEL, find_model
from edgeaudio.recognise.model import load_model
from tools.benchmarks.contenders import PERIOD_S, Contender, agent, costs, program
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import FLOOR, Figure, Measured, Target
from tools.benchmarks.live_servers import AAC, camera, can_run
from tools.benchmarks.peer_interpreter import RUNTIME
from tools.benchmarks.recognition import blocks_of, feed, new_pipeline
from tools.benchmarks.startup import AGENT, resident_mb
from tools.benchmarks.streams import MANY, OURS, TEXTBOOK, textbook

UNIT = "MB"


def measure(*, short: bool) -> Iterator[Measured]:
    """Measure one source and ten; nothing in the short form."""
    if short or not can_run("the memory of streams"):
        return
    ours, floor, other = Contender(OURS, agent()), Contender(FLOOR, program("floor")), textbook()
    one, many = _memory_mb(ours, 1), _memory_mb(ours, MANY)
    bare_one, bare_many = _memory_mb(floor, 1), _memory_mb(floor, MANY)
    imports = f"the imports alone take {resident_mb(AGENT):.0f} MB"
    yield Figure("memory, one source", UNIT, one, {FLOOR: bare_one}, Target(85.0), imports)
    more, bare_more = ((last - first) / (MANY - 1) for first, last in ((one, many), (bare_one, bare_many)))
    yield Figure("memory, each source more", UNIT, more, {FLOOR: bare_more}, Target(2.0), _pipeline(bare_more))
    if other:
        others = {TEXTBOOK: _memory_mb(other, MANY)}
        yield Figure(
            f"memory, {MANY} sources", UNIT, many, others, Target(0.1, TEXTBOOK), f"the textbook's runtime is {RUNTIME}"
        )


def _memory_mb(contender: Contender, n_streams: int) -> float:
    # alone: processes that share a library's pages would each count a part of them
    with pinned(SERVERS):
        found = costs([contender], partial(camera, AAC), n_streams, rounds=1, seconds=2.0)
    return found[contender.name].memory_mb


def _pipeline(floor_mb: float) -> str:
    """Return what the recognition of one AAC stream keeps."""
    rate, seconds = 48_000, 10
    model = load_model(find_model(DEFAULT_MODEL))
    noise = (0.1 * np.random.default_rng(0).standard_normal((seconds * rate, 2))).astype(np.float32)
    blocks = blocks_of(noise, rate, PERIOD_S)
    feed(new_pipeline(model), blocks)  # tables that all sources share
    tracemalloc.start()
    pipeline = new_pipeline(model)
    feed(pipeline, blocks)
    kept_mb = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    return f"FFmpeg, PyAV and a thread: the floor takes {floor_mb:.1f}; levels and clips keep {kept_mb:.1f}"
