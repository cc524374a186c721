"""One agent of a centre: its sources, its outbox, the commands that are for it, and settings read without a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio.outbox.outbox import Outbox, OutboxOfAnotherShardError
from edgeaudio.shards import owner_of
from edgeaudio.types import Message

Run = Callable[..., RunningAgent]
ListenTo = Callable[[BrokerProcess], Listener]
ROOT = "edgeaudio/testbox"
NAMES = [f"camera-{number}" for number in range(4)]
MINE = [name for name in NAMES if owner_of(name, 2) == 0]
OTHERS = [name for name in NAMES if owner_of(name, 2) == 1]


def sources(*names: str) -> str:
    return "".join(f'[sources.{name}]\nurl = "rtsp+listen://127.0.0.1:{free_port()}/x"\n' for name in names)


def as_shard(agent: RunningAgent, index: int, count: int) -> RunningAgent:
    agent.environment |= {"EDGEAUDIO_SHARD__INDEX": str(index), "EDGEAUDIO_SHARD__COUNT": str(count)}
    return agent


def run_command(agent: RunningAgent, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgeaudio", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=agent.environment)


def test_a_shard_has_its_own_sources_and_answers_for_them_alone(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
) -> None:
    broker.start()
    listener = listen_to(broker)
    agent = as_shard(run_agent(broker, sources(*NAMES)), 0, 2).start()
    wait_until(lambda: listener.of(f"{ROOT}/_shard/0/health"), what="no health")
    report = json.loads(listener.of(f"{ROOT}/_shard/0/health")[-1])
    assert (report["shard"], sorted(report["sources"])) == ({"index": 0, "count": 2}, MINE)
    wait_until(lambda: all(listener.of(f"{ROOT}/{name}/enabled") for name in MINE), what="not announced")
    assert listener.of(f"{ROOT}/_shard/0/count") == [b"2"]
    assert listener.of(f"{ROOT}/availability") == listener.of(f"{ROOT}/health") == []
    told = run_command(agent, "health")
    assert (told.returncode, told.stdout.partition(":")[0]) == (0, "testbox, shard 0 of 2")
    for name in (*OTHERS, MINE[0]):  # in this order, so that an answer to the first would come first
        listener.publish(f"{ROOT}/{name}/enabled/set", "OFF")
    wait_until(lambda: listener.payloads("testbox/command"), what="no answer")
    assert [answer["topic"] for answer in listener.payloads("testbox/command")] == [f"{ROOT}/{MINE[0]}/enabled/set"]
    listener.publish(f"{ROOT}/restart/set", "PRESS")  # for all shards
    assert agent.wait() == 0
    assert not any(
        f"/{name}/" in message.topic for message in listener.heard for name in OTHERS if "set" not in message.topic
    )
    assert listener.of(f"{ROOT}/_shard/0/availability")[-1] == b"offline"


def test_what_waits_of_a_source_that_moved_is_delivered_and_its_topics_are_left(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
) -> None:
    broker.start()
    agent = as_shard(run_agent(broker, sources(*NAMES)), 0, 1).start()  # all sources
    listener = listen_to(broker)
    wait_until(lambda: len(listener.of(f"{ROOT}/{OTHERS[0]}/threshold/{LABEL}")) > 0, what="not announced")
    listener.publish(f"{ROOT}/{OTHERS[0]}/threshold/{LABEL}/set", "0.9")
    wait_until(lambda: listener.of(f"{ROOT}/{OTHERS[0]}/threshold/{LABEL}")[-1] == b"0.9", what="not set")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    waiting = Outbox(agent.config.parent / "state" / "outbox.sqlite")
    waiting.add([Message(f"{ROOT}/{OTHERS[0]}/detection", b'{"kind": "onset", "id": "moved"}', qos=1)])
    waiting.close()
    topic = f"{ROOT}/{OTHERS[0]}/status"
    listener.publish(topic, b"the new owner's", retain=True)
    before = len(listener.of(topic))
    as_shard(agent, 0, 2).start()
    wait_until(lambda: listener.detections("onset"), what="not delivered")
    wait_until(lambda: listener.of(f"{ROOT}/_shard/0/count")[-1] == b"2", what="not begun")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert listener.of(topic)[before:] == []
    kept = Outbox(agent.config.parent / "state" / "outbox.sqlite")
    assert not [key for key in kept.settings() if OTHERS[0] in key and key.startswith("threshold/")]
    kept.close()


def test_the_outbox_of_another_shard_is_refused_in_a_line(broker: BrokerProcess, run_agent: Run) -> None:
    agent = as_shard(run_agent(broker, sources(*NAMES)), 1, 2)
    outbox = Outbox(agent.config.parent / "state" / "outbox.sqlite")
    outbox.claim(0)
    outbox.close()
    told = run_command(agent, "run", "--config", str(agent.config))
    assert told.returncode == 2
    assert "belongs to shard 0, and this is shard 1: give each shard one of its own, which stays its own" in told.stderr
    assert "Traceback" not in told.stderr


def test_an_outbox_is_that_of_one_shard_until_no_shard_has_it(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.sqlite")
    outbox.claim(3)
    outbox.claim(3)
    with pytest.raises(OutboxOfAnotherShardError):
        outbox.claim(2)
    outbox.claim(None)
    outbox.claim(2)
    outbox.close()


def test_a_shard_that_is_none_is_a_line_and_exit_status_2(broker: BrokerProcess, run_agent: Run) -> None:
    agent = run_agent(broker, sources("porch"))
    for words, reason in {
        ("--shard", "3/2"): "the index of 2 shards is from 0 to 1, not 3",
        ("--shard", "all"): "write it as INDEX/COUNT, as in 0/3 for the first of three",
    }.items():
        told = run_command(agent, "run", "--config", str(agent.config), *words)
        assert told.returncode == 2
        assert told.stderr == f"edgeaudio: argument --shard: {reason}; see edgeaudio run --help\n"


def test_a_folder_that_is_replaced_as_kubernetes_does_is_reloaded_without_a_signal(
    broker: BrokerProcess, run_agent: Run, listen_to: ListenTo
) -> None:
    broker.start()
    listener = listen_to(broker)
    agent = run_agent(broker, "")
    head = "reload_interval_s = 1\n" + agent.config.read_text()
    mount = agent.config.parent / "mount"
    mount.mkdir()

    def swap(version: str, text: str) -> None:
        (mount / version).mkdir()
        (mount / version / "edgeaudio.toml").write_text(text)
        (mount / "..new").symlink_to(version)
        (mount / "..new").rename(mount / "..data")

    swap("..1", head + sources("porch"))
    (mount / "edgeaudio.toml").symlink_to("..data/edgeaudio.toml")
    agent.config = mount / "edgeaudio.toml"
    agent.start()
    wait_until(lambda: listener.of(f"{ROOT}/porch/enabled"), what="not announced")
    swap("..2", head + "[sources.roof]\n")  # without an address
    wait_until(lambda: "not reloaded, the old settings stay in force" in agent.log, 20, lambda: agent.log)
    swap("..3", "# emptied\n")
    wait_until(lambda: "edgeaudio.toml: sets nothing any more" in agent.log, 20, lambda: agent.log)
    swap("..4", head + sources("porch", "yard"))
    wait_until(lambda: listener.of(f"{ROOT}/yard/enabled"), 20, lambda: agent.log)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
