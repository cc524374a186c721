"""`check` tries the connection for clips, where they are published."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.strict_broker import Manner, Rules, StrictBroker
from support.waiting import wait_until

from edgeaudio import cli
from edgeaudio.agent import media_trial

Run = Callable[..., RunningAgent]
SOURCES = (
    '[sources.porch]\nurl = "/nowhere.wav"\n[sources.attic]\nurl = "/nowhere.wav"\n'
    '[clips]\nenabled = true\npicture = "png"\npublish = ["clip", "image"]\n'
)
CLIENT = f"edgeaudio-{DEVICE}-media"
CLIPS = [f"edgeaudio/{DEVICE}/{source}/clip" for source in ("porch", "attic")]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.commands.check.LISTEN_S", 0.2)
    monkeypatch.setattr("edgeaudio.sinks.mqtt.client._MUTE_S", 0.5)
    monkeypatch.setattr("edgeaudio.agent.dry_run._RETAINED_S", 0.2)


def checked(config: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what `check` says of clips over MQTT."""
    assert cli.main(["check", "--config", str(config)]) == 2  # for the sources, at least
    return re.findall(r"^clips\.publish +(.*)$", capsys.readouterr().out, re.MULTILINE)


def test_a_broker_that_takes_clips_works_and_gets_no_picture(any_broker: BrokerProcess, run_agent: Run, capsys) -> None:
    any_broker.start()
    agent = run_agent(any_broker, SOURCES)
    with Listener(any_broker.port, f"edgeaudio/{DEVICE}/#") as listener:
        (line,) = checked(agent.config, capsys)
        if "3.1.1" in line:  # which would not say so
            unproven = "<source>/clip and <source>/image"
            assert line == f"works  connection {CLIENT}: MQTT 3.1.1; not proven: that it may publish {unproven}"
        else:
            assert line == f"works  connection {CLIENT}: MQTT 5; not proven: that it may publish <source>/image"
            wait_until(lambda: [listener.of(topic) for topic in CLIPS] == [[b""], [b""]])
            assert not any(message.retain for message in listener.heard if message.topic in CLIPS)
        assert not any(message.topic.endswith(("/image", "/image/info")) for message in listener.heard)


def test_nothing_is_tried_where_clips_are_not_published(run_agent: Run, capsys) -> None:
    with StrictBroker() as broker:
        agent = run_agent(broker, SOURCES.replace("publish", "#publish"))
        assert checked(agent.config, capsys) == []
        assert [client for client, *_ in broker.connected if client.endswith("-media")] == []


def test_a_client_id_that_the_broker_does_not_know_is_named(run_agent: Run, capsys) -> None:
    with StrictBroker(Rules(refused_ids=lambda client: client.endswith("-media"))) as broker:
        agent = run_agent(broker, SOURCES)
        (line,) = checked(agent.config, capsys)
    assert line.startswith(
        f"FAILS  connection {CLIENT}: broker mqtt://127.0.0.1:{broker.port}: the broker refused the "
    )
    assert f": Client identifier not valid; the client id is {CLIENT}: admit it in the broker" in line


@pytest.mark.parametrize("manner", ["refuse", "close", "disconnect", "ignore"])
def test_a_denied_topic_is_named(manner: Manner, run_agent: Run, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_trial, "ANSWER_S", 0.5)
    rules = Rules(denied=lambda topic: topic.endswith("/clip"), manner=manner)
    with StrictBroker(replace(rules)) as broker:
        agent = run_agent(broker, SOURCES)
        lines = checked(agent.config, capsys)
    if manner == "refuse":
        assert [line.partition(";")[0] for line in lines] == [
            f"FAILS  connection {CLIENT}: {topic} refused: Not authorized" for topic in CLIPS
        ]
    else:  # the connection ends over the first
        (line,) = lines
        assert line.startswith(f"FAILS  connection {CLIENT}, at {CLIPS[0]}: broker mqtt://127.0.0.1:{broker.port}: ")


def test_beside_a_running_agent_its_own_connection_is_left_alone(broker: BrokerProcess, run_agent: Run, capsys) -> None:
    broker.start()
    agent = run_agent(broker, SOURCES.replace("enabled = true", "enabled = true\nmin_free_mb = 0")).start()
    with Listener(broker.port, f"edgeaudio/{DEVICE}/#") as listener:
        listener.wait_state("porch", "waiting")
        (line,) = checked(agent.config, capsys)
    assert line.startswith(f"works  connection edgeaudio-{DEVICE}_check-media: MQTT ")
