"""`edgeaudio check` leaves the broker as it was: what agents have retained, and what they know of it."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import BrokerProcess, Subscriber
from support.waiting import wait_until

from edgeaudio import cli
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.types import Message

CAMERAS = '[sources.porch]\nurl = "/nowhere.wav"\n[sources.attic]\nurl = "/nowhere.wav"\n'


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.agent.dry_run._RETAINED_S", 0.2)


def retained(broker: BrokerProcess) -> dict[str, bytes]:
    with Subscriber(broker.port, "#") as everything:
        everything.publish("the/last", "")  # what is retained comes before it
        everything.wait_for(lambda heard: any(message.topic == "the/last" for message in heard))
        return {message.topic: message.payload for message in everything.heard if message.retain}


def kept(state: Path) -> tuple[dict[str, str], int]:
    with closing(Outbox(state / "outbox.sqlite")) as outbox:
        settings = outbox.settings()
        settings.pop("checked", None)
        return settings, outbox.stats().depth


def said(config: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    cli.main(["check", "--config", str(config), *options])
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("discovery", ["true", "false"])
def test_what_agents_have_retained_is_there_after_a_check_of_any_device_or_shard(
    broker: BrokerProcess,
    run_agent: Callable[..., RunningAgent],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    discovery: str,
) -> None:
    broker.start()
    agent = run_agent(broker, CAMERAS)
    text = agent.config.read_text().replace("[mqtt]\n", f"[mqtt]\ndiscovery = {discovery}\n")
    agent.config.write_text(text)
    with Listener(broker.port, f"edgeaudio/{DEVICE}/#") as listener:
        agent.start()
        for source in ("porch", "attic"):
            listener.wait_state(source, "waiting")
        wait_until(lambda: listener.of(f"edgeaudio/{DEVICE}/attic/enabled"), what="not announced")
    # of a centre in the name of the running agent, for which none of its shards is online
    elsewhere = f"--set=state_dir={tmp_path / 'elsewhere'}"
    with Listener(broker.port, f"edgeaudio/{DEVICE}/#") as listener:
        assert "not proven" in said(agent.config, capsys, "--shard=1/2", elsewhere)
        assert not [message.topic for message in listener.heard if "/_shard/" in message.topic]
        assert not [status for status in listener.payloads("/status") if status["reason"] == "agent_stopped"]
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    state = agent.config.parent / "state"
    with closing(Outbox(state / "outbox.sqlite")) as outbox:
        outbox.add([Message(f"edgeaudio/{DEVICE}/porch/detection", b'{"kind": "onset", "id": "waits"}', qos=1)])
    before, known = retained(broker), kept(state)
    assert any(topic.endswith("/config") for topic in before) is (discovery == "true")
    fewer = tmp_path / "fewer.toml"
    fewer.write_text(text.partition("[sources.attic]")[0])
    for config, *options in (
        (agent.config,),
        (fewer,),
        (agent.config, "--set=device=another"),
        (agent.config, "--shard=0/2", elsewhere),
        (agent.config, "--shard=1/2"),
    ):
        out = said(config, capsys, *options)
        assert "connected, MQTT" in out
        assert "not proven" not in out
        assert retained(broker) == before, options
        assert kept(state) == known, options


def test_a_shard_that_is_no_more_keeps_its_topics_in_a_check_of_the_first(
    broker: BrokerProcess, run_agent: Callable[..., RunningAgent], capsys: pytest.CaptureFixture[str]
) -> None:
    broker.start()
    agent = run_agent(broker, CAMERAS)
    topic = f"edgeaudio/{DEVICE}/_shard/5/availability"
    with Listener(broker.port, f"edgeaudio/{DEVICE}/#") as listener:
        listener.publish(topic, "offline", retain=True)
        said(agent.config, capsys, "--shard=0/2")
        assert listener.of(topic) == [b"offline"]
    assert retained(broker) == {topic: b"offline"}


def test_check_names_a_state_directory_of_another_shard(
    broker: BrokerProcess, run_agent: Callable[..., RunningAgent], capsys: pytest.CaptureFixture[str]
) -> None:
    agent = run_agent(broker.start(), CAMERAS)
    with closing(Outbox(agent.config.parent / "state" / "outbox.sqlite")) as outbox:
        outbox.claim(0)
    assert "belongs to shard 0, and this is shard 1" in said(agent.config, capsys, "--shard=1/2")
