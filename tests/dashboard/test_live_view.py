"""Live views over the page's WebSocket: the lease of a real agent, hostile packets, refusals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from agent.test_live import camera, ended, source
from dashboard.test_columns import packet
from dashboard.test_sound import message
from dashboard.test_with_broker import model, publish, run_agent
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess, MosquittoFactory, Subscriber
from support.dashboards import RunningDashboard, WebSocketClient
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio.dashboard.live_feed import LEASE_S, RENEW_S
from edgeaudio.sinks.live.leases import MAX_SOURCES
from edgeaudio.sinks.mqtt.commands import MAX_LIVE_S

__all__ = ["model", "publish", "run_agent"]
SET = "edgeaudio/testbox/porch/live/set"


def watch(page: RunningDashboard, name: str = "porch", device: str = "testbox") -> WebSocketClient:
    client = WebSocketClient(page.port, f"/api/live?after=0&device={device}&source={name}")
    assert client.status == 101
    return client


def listen(page: RunningDashboard) -> WebSocketClient:
    client = WebSocketClient(page.port, "/api/listen?device=dock&source=porch")
    assert client.status == 101
    return client


def is_packet(message: Any) -> bool:
    return isinstance(message, bytes)


def has(key: str) -> Callable[[Any], bool]:
    return lambda message: isinstance(message, dict) and key in message


def answered(listener: Listener, count: int) -> bool:
    """True if the agent has answered as many different commands."""
    return len({answer["topic"] for answer in listener.payloads("/command")}) >= count


@pytest.fixture
def listener(broker: BrokerProcess) -> Iterator[Listener]:
    with Listener(broker.start().port, "edgeaudio/#") as listener:
        yield listener


def test_two_pages_share_a_lease_that_ends_with_the_last(
    broker: BrokerProcess,
    listener: Listener,
    run_dashboard: Callable[..., RunningDashboard],
    run_agent: Callable[..., RunningAgent],
):
    page = run_dashboard(broker).start().wait_subscribed()
    with camera("pcm_alaw") as url, ExitStack() as stack:
        run_agent(broker, source(url)).start()
        listener.wait_detection("onset")
        # a page that watches no source has nothing computed
        stack.enter_context(WebSocketClient(page.port, "/api/live?after=0")).read()
        assert ended(listener) == 0
        assert listener.of(SET) == []

        first, second = stack.enter_context(watch(page)), stack.enter_context(watch(page))
        began_s = time.monotonic()
        wanted = first.read_until(is_packet)
        assert second.read_until(lambda message: message == wanted)
        scores = second.read_until(has("scores"))["scores"][0]
        assert max(scores["scores"].values()) > 0.65
        wait_until(lambda: len(listener.of(SET)) >= 3, 30)
        # both together are one viewer to the agent
        assert time.monotonic() - began_s > 1.8 * RENEW_S
        assert set(listener.of(SET)) == {str(LEASE_S).encode()}

        first.close()
        number = len(listener.of(SET))
        wait_until(lambda: len(listener.of(SET)) > number, 3 * RENEW_S)
        assert second.read_until(is_packet)
        second.close()
        ended(listener)
        number = len(listener.of(SET))
        ended(listener)
        assert len(listener.of(SET)) == number


def test_a_source_too_many_is_refused_in_words(
    broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard], run_agent: Callable[..., RunningAgent]
):
    page = run_dashboard(broker.start()).start().wait_subscribed()
    names = [f"s{number}" for number in range(MAX_SOURCES + 1)]
    sources = "".join(source(f"rtsp+listen://127.0.0.1:{free_port()}/x", name) for name in names)
    run_agent(broker, sources).start()
    wait_until(lambda: page.get("/api/fleet").json()["devices"])
    with ExitStack() as stack:
        clients = {}
        with Listener(broker.port, "edgeaudio/testbox/command") as answers:
            for count, name in enumerate(names, 1):
                clients[name] = stack.enter_context(watch(page, name))
                wait_until(partial(answered, answers, count), 20)
        refused = clients[names[-1]].read_until(has("trouble"))["trouble"]
        assert refused.startswith(f"testbox refuses to show {names[-1]}: ")
        # when another viewer leaves, its place is free after its lease
        clients[names[0]].close()
        assert clients[names[-1]].read_until(has("trouble"))["trouble"] == ""


def test_malformed_packets_are_dropped_and_counted(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
):
    page = run_dashboard(broker).start().wait_subscribed()
    with watch(page, device="dock") as client, Subscriber(broker.port, "edgeaudio/dock/porch/live/set") as leases:
        wait_until(lambda: leases.heard)
        good = packet()
        for bad in (b"", b"\x01", good[:-1], b"\x02" + good[1:], b"\xff" * 50_000):
            publish("edgeaudio/dock/porch/live", bad)
        publish("edgeaudio/dock/porch/scores", b"[]")
        publish("edgeaudio/dock/porch/scores", {"schema_version": 1, "scores": {"dog": 2}})
        publish("edgeaudio/dock/hall/live", packet(shape=(3, 7)))  # of another source
        publish("edgeaudio/dock/porch/live", good)
        assert client.read_until(is_packet) == good
        assert page.metric('edgeaudio_dashboard_refused_messages_total{topic="live"}') == 5
        assert page.metric('edgeaudio_dashboard_refused_messages_total{topic="scores"}') == 2
    assert page.log.count("\n") < 30


def test_who_listens_gets_whole_messages_and_the_agent_s_refusal(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
):
    page = run_dashboard(broker).start().wait_subscribed()
    lease, topic = "edgeaudio/dock/porch/live/audio/set", "edgeaudio/dock/porch/live/audio"
    with (
        watch(page, device="dock") as viewer,
        listen(page) as client,
        Subscriber(broker.port, "edgeaudio/dock/porch/live/#") as leases,
    ):
        wait_until(lambda: leases.of(lease) and leases.of("edgeaudio/dock/porch/live/set"))
        assert leases.of(lease)[0] == str(LEASE_S).encode()
        good = message()
        for bad in (b"", good[:-1], b"\x02" + good[1:], b"\xff" * 50_000):
            publish(topic, bad)
        publish("edgeaudio/dock/hall/live/audio", good)  # of another source
        publish(topic, good)
        assert client.read() == good
        publish("edgeaudio/dock/command", {"schema_version": 1, "topic": lease, "ok": False, "error": "it is off"})
        assert client.read() == {"trouble": "dock refuses to let porch be heard: it is off"}
        assert page.metric('edgeaudio_dashboard_refused_messages_total{topic="audio"}') == 4
        # who watches has neither
        publish("edgeaudio/dock/porch/live", packet())
        assert viewer.read_until(is_packet) == packet()


def test_a_broker_that_denies_the_lease_is_named(
    mosquitto: MosquittoFactory, run_dashboard: Callable[..., RunningDashboard], tmp_path: Path
):
    rules = tmp_path / "acl"
    rules.write_text("topic read edgeaudio/#\n")
    broker = mosquitto(f"acl_file {rules}").start()
    page = run_dashboard(broker).start().wait_subscribed()
    with watch(page) as client:
        trouble = client.read_until(has("trouble"))["trouble"]
    assert trouble.startswith("the broker denies edgeaudio/testbox/porch/live/set: Not authorized; allow it")


def test_the_broker_is_found_again(broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard]):
    page = run_dashboard(broker.start()).start().wait_subscribed()
    with watch(page, device="dock") as client:
        broker.stop()
        assert client.read_until(has("trouble"))["trouble"].startswith("broker mqtt://127.0.0.1")
        broker.start()
        with Subscriber(broker.port, "edgeaudio/dock/porch/live/set") as leases:
            wait_until(lambda: leases.heard, 30)
            leases.publish("edgeaudio/dock/porch/live", packet())
            assert client.read_until(is_packet) == packet()


@pytest.mark.parametrize(
    "query", ["device=a", "source=a", "device=../x&source=a", "device=a&source=%2B", "device=%23&source=b"]
)
def test_what_is_no_source_is_refused(
    query: str, broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard]
):
    page = run_dashboard(broker.start()).start()
    for path in ("live", "listen"):
        with WebSocketClient(page.port, f"/api/{path}?{query}") as client:
            assert client.status == 403


def test_a_lease_is_no_longer_than_the_agent_allows():
    assert RENEW_S < LEASE_S / 2 < MAX_LIVE_S
