"""The hub: bounded queues between publishers and subscribers."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.waiting import wait_until

from edgeaudio.hub import Hub, Subscription
from edgeaudio.types import Block, EpochEnd, Event, SourceState, SourceStatus


def block(source: str, number: int, seconds: float = 1.0, rate: int = 100) -> Block:
    samples = np.zeros(round(rate * seconds), np.float32)
    return Block(source, 0, rate * number, datetime.now(UTC), rate, samples)


def status(source: str) -> SourceStatus:
    return SourceStatus(source, SourceState.LISTENING, datetime.now(UTC))


@pytest.fixture
def hub() -> Hub:
    return Hub()


def queue(hub: Hub, max_s: float = 10.0, max_bytes: int = 10**6, max_items: int = 100) -> Subscription:
    return hub.subscribe("test", {Block, EpochEnd, SourceStatus}, max_s=max_s, max_bytes=max_bytes, max_items=max_items)


def test_a_block_is_in_every_other_queue_before_the_paced_one_has_it(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    paced = hub.subscribe("recogniser", {Block}, is_paced=True)
    others = [queue(hub), queue(hub)]
    waiting: list[float] = []
    put = paced.put

    def noted(item: object) -> None:
        waiting.extend(other.waiting_s("a") for other in others)
        put(item)

    monkeypatch.setattr(paced, "put", noted)
    hub.publish(block("a", 0))
    assert waiting == [1.0, 1.0]
    assert paced.waiting_s("a") == 1.0


def test_order_is_kept_over_all_sources(hub: Hub):
    subscription = queue(hub)
    published = [block("a", 0), block("b", 0), block("a", 1), EpochEnd("b"), status("a")]
    for item in published:
        hub.publish(item)
    assert subscription.waiting_s("a") == 2.0
    assert subscription.take(0) == published
    assert subscription.waiting_s("a") == 0.0
    assert subscription.take(0) == []


def test_each_subscription_gets_the_types_that_it_accepts_and_all_of_them(hub: Hub):
    sound = hub.subscribe("sound", {Block})
    states = hub.subscribe("states", {SourceStatus})
    also_sound = hub.subscribe("also", {Block, Event})
    items = [block("a", 0), status("a"), block("a", 1)]
    for item in items:
        hub.publish(item)
    assert sound.take(0) == also_sound.take(0) == [items[0], items[2]]
    assert states.take(0) == [items[1]]


def test_nothing_is_queued_after_the_end_of_a_subscription(hub: Hub):
    subscription = queue(hub)
    hub.publish(block("a", 0))
    hub.unsubscribe(subscription)
    hub.unsubscribe(subscription)
    hub.publish(block("a", 1))
    assert len(subscription.take(0)) == 1


def test_the_oldest_of_the_same_source_goes_and_is_counted(hub: Hub):
    subscription = queue(hub, max_s=3)
    hub.publish(block("quiet", 0))
    for number in range(5):
        hub.publish(block("busy", number))
    taken = subscription.take(0)
    assert [item.offset for item in taken if isinstance(item, Block) and item.source == "busy"] == [200, 300, 400]
    assert (subscription.dropped_s("busy"), subscription.dropped_s("quiet")) == (2.0, 0.0)
    assert subscription.all_dropped_s == 2.0


def test_blocks_of_all_sources_together_are_bounded_in_bytes(hub: Hub):
    subscription = queue(hub, max_bytes=1000)
    for number in range(4):
        hub.publish(block(f"source-{number}", 0))  # 400 bytes
    assert [item.source for item in subscription.take(0) if isinstance(item, Block)] == ["source-2", "source-3"]
    assert subscription.all_dropped_s == 2.0


def test_a_block_that_is_larger_than_the_bounds_is_dropped_itself(hub: Hub):
    subscription = queue(hub, max_s=0.5)
    hub.publish(block("a", 0))
    assert subscription.take(0) == []
    assert subscription.dropped_s("a") == 1.0


def test_items_are_bounded_by_their_number_and_leave_the_sound_alone(hub: Hub):
    subscription = queue(hub, max_items=2)
    sound, states = block("a", 0), [status(name) for name in "bcd"]
    for item in [sound, *states]:
        hub.publish(item)
    assert subscription.take(0) == [sound, *states[1:]]
    assert subscription.dropped == 1


def test_taking_waits_for_the_first(hub: Hub):
    subscription = queue(hub)
    threading.Timer(0.05, lambda: hub.publish(block("a", 0))).start()
    begin_s = time.monotonic()
    assert len(subscription.take(5)) == 1
    assert time.monotonic() - begin_s < 4


def test_only_a_paced_subscription_delays_what_comes_faster_than_sound(hub: Hub):
    paced = hub.subscribe("paced", {Block}, max_s=1.0, is_paced=True)
    hub.publish(block("a", 0))
    publishing = threading.Thread(target=hub.publish, args=(block("a", 1, seconds=1.0),))
    publishing.start()
    wait_until(lambda: paced.lag_s > 0.05)
    assert publishing.is_alive()  # waits for room, up to a second
    assert len(paced.take(0)) == 1
    publishing.join(5)
    assert (paced.waiting_s("a"), paced.dropped_s("a")) == (1.0, 0.0)


def test_what_was_taken_counts_as_handled_with_the_next_take(hub: Hub):
    subscription = queue(hub)
    assert subscription.wait_idle(0)
    hub.publish(status("a"))
    assert not subscription.wait_idle(0)
    subscription.take(0)
    assert not subscription.wait_idle(0.01)
    subscription.take(0)
    assert subscription.wait_idle(0)


def test_the_lag_is_that_of_the_oldest_item(hub: Hub):
    subscription = queue(hub)
    assert subscription.lag_s == 0.0
    hub.publish(status("a"))
    wait_until(lambda: subscription.lag_s > 0.01)
    subscription.take(0)
    assert subscription.lag_s == 0.0


@given(
    st.lists(st.sampled_from(["a", "b", "status", "take"]), max_size=60),
    st.integers(0, 4),
    st.integers(1, 6),
    st.integers(1, 3),
)
def test_what_is_dropped_is_the_oldest_of_its_kind(steps: list[str], max_s: int, max_blocks: int, max_items: int):
    subscription = queue(Hub(), max_s=max_s, max_bytes=400 * max_blocks, max_items=max_items)
    waits: list[object] = []
    dropped_s, dropped = 0, 0

    def drop_while(limit: int, meant: Sequence[object]) -> int:
        too_many = meant[: max(0, len(meant) - limit)]
        waits[:] = [item for item in waits if not any(item is each for each in too_many)]
        return len(too_many)

    for number, step in enumerate(steps):
        if step == "take":
            assert subscription.take(0) == waits
            waits.clear()
            continue
        item = status("c") if step == "status" else block(step, number)
        subscription.put(item)
        waits.append(item)
        for source in "ab":
            of_source = [each for each in waits if isinstance(each, Block) and each.source == source]
            dropped_s += drop_while(max_s, of_source)
        dropped_s += drop_while(max_blocks, [each for each in waits if isinstance(each, Block)])
        dropped += drop_while(max_items, [each for each in waits if isinstance(each, SourceStatus)])
    assert subscription.take(0) == waits
    assert (subscription.all_dropped_s, subscription.dropped) == (dropped_s, dropped)
