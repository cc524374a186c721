"""However the agents of a centre change their number, what is retained in the end is what the last owners published."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.discovery_rules import AGENT, PREFIX, announced, components
from support.examples import examples

from edgeaudio.shards import Shard, owner_of
from edgeaudio.sinks.mqtt.discovery_state import announce
from edgeaudio.sinks.mqtt.shard_peers import PeerNews, ShardPeers
from edgeaudio.sinks.mqtt.topics import Topics

SOURCES = [f"camera-{number}" for number in range(8)]
HALL = Topics("edgeaudio", "hall")


def topics_of(index: int, count: int) -> Topics:
    return Topics("edgeaudio", "hall", Shard(index, count))


@dataclass
class Broker:
    """What is retained; messages are delivered in order, each to all agents before the next."""

    retained: dict[str, bytes] = field(default_factory=dict)
    agents: dict[int, Agent] = field(default_factory=dict)
    waiting: deque[tuple[str, bytes]] = field(default_factory=deque)

    def publish(self, topic: str, payload: bytes) -> None:
        self.waiting.append((topic, payload))

    def deliver(self) -> None:
        while self.waiting:
            topic, payload = self.waiting.popleft()
            self.retained.pop(topic, None)
            if payload:
                self.retained[topic] = payload
            for agent in list(self.agents.values()):
                agent.receive(topic, payload)


class Agent:
    """An agent, as far as its retained messages go, with what the real one uses for them."""

    def __init__(self, broker: Broker, index: int, count: int, memory: str | None) -> None:
        self._broker = broker
        self._topics = topics = topics_of(index, count)
        self._peers = ShardPeers(topics, None)
        self.own = [name for name in SOURCES if topics.shard is not None and topics.shard.owns(name)]
        self._cache: dict[str, bytes] = {}
        self._put(topics.shard_count, b"%d" % count)
        self._put(topics.availability, b"online")
        states = [topics.status(name) for name in self.own]
        announcement = announce(
            memory,
            prefix="",
            agent=None,
            retained=[topics.availability, topics.health, topics.shard_count, *states],
            is_elsewhere=lambda topic: topics.source_of(topic) in set(SOURCES) - set(self.own),
        )
        self.memory = announcement.memory
        for message in announcement.messages:
            broker.publish(message.topic, message.payload)
        self._put(topics.health, b"{}")
        for name in self.own:
            self.report(name)
        for topic, payload in list(broker.retained.items()):
            self.receive(topic, payload)

    def report(self, source: str) -> None:
        if source in self.own:
            self._put(self._topics.status(source), str(self._topics.shard).encode())

    def receive(self, topic: str, payload: bytes) -> None:
        news = self._peers.read(topic, payload) or PeerNews()
        for own, value in self._cache.items():
            if news.resend is not None and news.resend(own):
                self._broker.publish(own, value)
        for gone in news.clear:
            self._broker.publish(gone, b"")

    def stop(self) -> None:
        for name in self.own:
            self._put(self._topics.status(name), b"off")
        self._broker.publish(self._topics.availability, b"offline")

    def die(self) -> None:
        self._broker.publish(self._topics.availability, b"offline")

    def _put(self, topic: str, payload: bytes) -> None:
        self._cache[topic] = payload
        self._broker.publish(topic, payload)


@given(st.data(), st.lists(st.integers(1, 5), min_size=2, max_size=4))
@hypothesis_settings(max_examples=examples(100), deadline=None)
def test_what_is_retained_in_the_end_is_the_last_owners(data: st.DataObject, counts: list[int]) -> None:
    broker, memories = Broker(), dict[int, str]()
    for count in counts:
        for index in data.draw(st.permutations(range(max(count, *broker.agents, 0) + 1)), label="order"):
            for name in data.draw(st.lists(st.sampled_from(SOURCES), max_size=3), label="reports"):
                for agent in broker.agents.values():  # two may have it: each reports what it sees
                    agent.report(name)
            if index in broker.agents:
                agent = broker.agents.pop(index)
                (agent.stop if data.draw(st.booleans(), label="stops") else agent.die)()
            if data.draw(st.booleans(), label="all see it go"):
                broker.deliver()
            if index < count:
                broker.agents[index] = Agent(broker, index, count, memories.get(index))
                memories[index] = broker.agents[index].memory
            broker.deliver()
    expected = {HALL.status(name): f"shard {owner_of(name, counts[-1])} of {counts[-1]}" for name in SOURCES}
    for index in range(counts[-1]):
        topics = topics_of(index, counts[-1])
        expected |= {topics.availability: "online", topics.health: "{}", topics.shard_count: str(counts[-1])}
    assert {topic: payload.decode() for topic, payload in broker.retained.items()} == expected


def read_all(peers: ShardPeers, messages: Iterable[tuple[str, bytes]]) -> list[PeerNews | None]:
    return [peers.read(topic, payload) for topic, payload in messages]


def test_only_sources_that_the_other_had_are_published_again() -> None:
    peers, old = ShardPeers(topics_of(3, 4), PREFIX), topics_of(0, 3)
    *_, news = read_all(peers, [(old.shard_count, b"3"), (old.availability, b"online"), (old.availability, b"offline")])
    assert news is not None
    assert news.resend is not None
    meant = {name for name in SOURCES if news.resend(HALL.status(name))}
    assert meant == {name for name in SOURCES if owner_of(name, 3) == 0 and owner_of(name, 4) == 3}
    assert news.clear == ()


def test_a_shard_of_the_same_count_that_goes_changes_nothing() -> None:
    peers, other = ShardPeers(topics_of(0, 3), PREFIX), topics_of(1, 3)
    assert read_all(peers, [(other.shard_count, b"3"), (other.availability, b"offline")]) == [PeerNews(), PeerNews()]


def test_shards_of_different_numbers_are_named_once_no_rollout_takes_so_long() -> None:
    peers, other = ShardPeers(topics_of(0, 3), PREFIX), topics_of(1, 4)
    read_all(peers, [(topics_of(2, 3).shard_count, b"3"), (topics_of(2, 3).availability, b"online")])
    read_all(peers, [(other.shard_count, b"4")])
    assert peers.complaint(0.0) is None
    read_all(peers, [(other.availability, b"online")])
    assert [peers.complaint(now_s) for now_s in (1000.0, 1899.0)] == [None, None]
    assert str(peers.complaint(1900.0)).startswith("shard 1 runs as one of 4 shards, and this one as one of 3: some")
    read_all(peers, [(other.availability, b"offline")])
    assert peers.complaint(2000.0) is None
    read_all(peers, [(other.availability, b"online")])
    assert peers.complaint(2001.0) is None
    read_all(peers, [(topics_of(1, 3).shard_count, b"3")])
    assert peers.complaint(9000.0) is None


def test_an_agent_that_becomes_the_first_shard_clears_what_only_a_single_agent_has() -> None:
    own = replace(AGENT, topics=HALL)
    before = announce(None, prefix=PREFIX, agent=own, retained=[HALL.availability, HALL.health])
    shard = replace(own, topics=topics_of(0, 2))
    again = announce(before.memory, prefix=PREFIX, agent=shard, retained=[shard.topics.availability])
    cleared = {message.topic for message in again.messages if not message.payload}
    assert cleared == {HALL.availability, HALL.health, f"{PREFIX}/device/{HALL.unique_name}/agent/config"}


def test_a_shard_that_was_cleared_by_mistake_publishes_everything_again() -> None:
    own = topics_of(3, 4)
    online, cleared = read_all(ShardPeers(own, PREFIX), [(own.availability, b"online"), (own.availability, b"")])
    assert online == PeerNews()
    assert cleared is not None
    assert cleared.resend is not None
    assert all(map(cleared.resend, [own.shard_count, own.status("camera-0"), f"{PREFIX}/device/x/shard_3/config"]))


def test_the_first_shard_alone_clears_what_one_beyond_the_count_has_left() -> None:
    gone = topics_of(2, 3)
    (news,) = read_all(ShardPeers(topics_of(0, 2), PREFIX), [(gone.availability, b"offline")])
    assert news is not None
    assert news.clear == (
        "homeassistant/device/edgeaudio-hall/shard_2/config",
        "edgeaudio/hall/_shard/2/availability",
        "edgeaudio/hall/_shard/2/health",
        "edgeaudio/hall/_shard/2/count",
    )
    (other,) = read_all(ShardPeers(topics_of(1, 2), PREFIX), [(gone.availability, b"offline")])
    assert other is not None
    assert other.clear == ()


@pytest.mark.parametrize(
    "topic",
    [
        "edgeaudio/hall/porch/status",
        "edgeaudio/hall/_shard/0/health",
        "other/_shard/0/count",
    ],
)
def test_topics_that_are_of_no_shard_are_no_news(topic: str) -> None:
    assert ShardPeers(topics_of(0, 2), None).read(topic, b"3") is None


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("x/count", b"3"),
        ("01/count", b"1"),
        ("1000/availability", b"offline"),
        ("99999999999/availability", b"offline"),
        ("-1/availability", b"online"),
        ("\u0663/availability", b"online"),
        ("1/availability", b"on"),
        ("1/availability", b"offline" * 100_000),
        ("1/count", b"3.0"),
        ("1/count", b"1"),
        ("1/count", b"9" * 5000),
    ],
)
def test_what_no_shard_publishes_is_ignored(topic: str, payload: bytes) -> None:
    peers = ShardPeers(topics_of(0, 2), PREFIX)
    assert peers.read(f"edgeaudio/hall/_shard/{topic}", payload) == PeerNews(is_foreign=True)


@given(st.binary(max_size=20), st.integers(0, 2_000))
def test_any_payload_is_read(payload: bytes, index: int) -> None:
    peers = ShardPeers(topics_of(0, 2), PREFIX)
    for kind in ("count", "availability"):
        news = peers.read(f"edgeaudio/hall/_shard/{index}/{kind}", payload)
        assert news is not None
        if news.resend is not None:
            news.resend("edgeaudio/hall/camera-0/status")


def test_a_source_of_another_shard_is_left_to_it_and_a_removed_one_is_cleared() -> None:
    first = announced(AGENT)
    smaller = replace(AGENT, sources=())

    def at(name: str) -> Callable[[str], bool]:
        return lambda topic: AGENT.topics.source_of(topic) == name

    again = announce(first.memory, prefix=PREFIX, agent=smaller, retained=[], is_elsewhere=at("front-door"))
    cleared = {message.topic for message in again.messages if not message.payload}
    assert f"{PREFIX}/device/{AGENT.topics.unique_name}/source_dock/config" in cleared
    assert not any("front-door" in topic for topic in cleared)
    assert "front-door" not in again.memory  # nor later


def test_the_shards_of_a_centre_are_one_device_with_entities_of_their_own() -> None:
    both = [components(announced(replace(AGENT, topics=topics_of(index, 2), sources=())).messages) for index in (0, 1)]
    assert both[0].keys() & both[1].keys() == set()
    assert {component["name"] for component in both[0].values()} >= {"Shard 0: Restart", "Shard 0: Restarts"}
    source = components(announced(replace(AGENT, topics=topics_of(1, 2))).messages)
    assert source["dock_event"]["availability"] == [{"topic": "edgeaudio/hall/_shard/1/availability"}]


def test_topics_of_a_shard_and_those_of_sources_cannot_meet() -> None:
    topics = topics_of(2, 3)
    own = [topics.availability, topics.health, topics.shard_count, topics.restart_set]
    assert own == [f"edgeaudio/hall/_shard/2/{kind}" for kind in ("availability", "health", "count", "restart/set")]
    assert [topics.source_of(topic) for topic in own] == [None] * 4
    assert topics.source_of(topics.status("porch")) == "porch"
    assert topics.source_of(f"homeassistant/device/{topics.unique_name}/source_porch_2/config") == "porch"
    assert topics.client_id == "edgeaudio-hall_shard_2"
    assert topics.restart_all_set == HALL.restart_set == "edgeaudio/hall/restart/set"
