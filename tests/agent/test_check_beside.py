"""`edgeaudio check` beside the running agent of the same device, which holds ports and sound cards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio import cli


def states(health: dict[str, Any]) -> set[str]:
    return {source["state"] for source in health["sources"].values()}


def test_a_source_that_the_running_agent_listens_for_is_not_taken_for_busy(
    broker: BrokerProcess, run_agent: Callable[..., RunningAgent], tmp_path: Path, capsys, monkeypatch
) -> None:
    broker.start()
    agent = run_agent(broker, f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{free_port()}/x"\n')
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(agent.runtime_dir))
    with Listener(broker.port, "#") as listener:
        agent.start()
        wait_until(
            lambda: [health for health in listener.payloads("/health") if states(health) == {"connecting"}],
            what="no health report of it",
        )
        status = cli.main(["check", "--config", str(agent.config)])
    lines = capsys.readouterr().out.splitlines()
    (porch,) = [" ".join(line.split()) for line in lines if line.startswith("source porch")]
    assert porch.startswith("source porch works rtsp+listen://127.0.0.1:")
    assert porch.endswith("connecting, in the running edgeaudio, so it was not opened")
    assert status == 0, lines


def test_another_program_in_the_way_is_still_a_failure(
    broker: BrokerProcess, run_agent: Callable[..., RunningAgent], tmp_path: Path, capsys, monkeypatch
) -> None:
    broker.start()
    agent = run_agent(broker, f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{broker.port}/x"\n')
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(agent.runtime_dir))
    assert cli.main(["check", "--config", str(agent.config)]) == 2
    assert "another program listens on" in " ".join(capsys.readouterr().out.split())
