"""A best-effort sink in a thread, run as the agent runs it, and opened again at once after a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.waiting import wait_until

from edgeaudio.agent import sink_runner
from edgeaudio.agent.sink_runner import SinkRunner
from edgeaudio.hub import Hub
from edgeaudio.sinks import Sink


@contextmanager
def running(sink: Sink, hub: Hub) -> Iterator[SinkRunner]:
    """Run the sink on what that hub publishes; it has ended, and its thread with it, behind the `with`."""
    stop = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sink_runner, "FIRST_DELAY_S", 0.05)
        patch.setattr(sink_runner, "TAKE_S", 0.05)
        runner = SinkRunner(sink, hub, lambda: None)
        thread = threading.Thread(target=runner.run, args=(stop,))
        thread.start()
        try:
            yield runner
        finally:
            stop.set()
            thread.join(10)
            assert not thread.is_alive()


def opened(sink: Sink, hub: Hub) -> None:
    """Wait until the sink is subscribed: what is published before is not for it."""
    # what `publish` looks at, and the last that `subscribe` changes
    wait_until(lambda: any(each.name == sink.name for group in hub._by_type.values() for each in group))
