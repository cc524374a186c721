"""The log of a running agent with `log_format = "ecs"`."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess
from support.ports import free_port
from support.rtsp import push_rtsp
from support.waiting import wait_until

ECS = 'log_format = "ecs"\nlog_level = "debug"'


def lines(agent: RunningAgent) -> list[dict[str, Any]]:
    """The records of the log: each of its whole lines is one."""
    return [json.loads(line) for line in agent.log.splitlines(keepends=True) if line.endswith("\n")]


def messages(agent: RunningAgent) -> str:
    return "\n".join(line["message"] for line in lines(agent))


def test_every_line_of_an_agent_is_a_record_and_names_its_source(
    broker: BrokerProcess, run_agent: Callable[..., RunningAgent]
) -> None:
    broker.start()
    port = free_port()
    source = f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{port}/x"\n'
    clips = "[clips]\nenabled = true\nmin_free_mb = 0\n"
    agent = run_agent(broker, clips + source, settings=ECS).start()
    with push_rtsp(f"rtsp://127.0.0.1:{port}/x"), Listener(broker.port, "#") as listener:
        listener.wait_detection("onset")
        wait_until(lambda: "porch: second onset" in messages(agent), what="the event was not logged")
        agent.config.write_text(agent.config.read_text().replace(ECS, 'log_level = "debug"'))
        agent.signal(signal.SIGHUP)
        wait_until(lambda: "reloaded; sources: 1 kept" in messages(agent), what="not reloaded")
    assert "reload: [log_format] changed; that takes effect at the next start" in messages(agent)
    wait_until(lambda: "edgeaudio.capture.outage_log" in agent.log, what="the source's end was not logged")
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    assert messages(agent).endswith("stopped")
    assert "porch: a clip of second is written" in messages(agent)
    for line in lines(agent):
        about = "source porch" in line["message"] or line["message"].startswith("porch: ")
        assert line["edgeaudio"] == {"device": "testbox", **({"source": "porch"} if about else {})}
        assert line["process"]["pid"] == agent.process.pid  # type: ignore[union-attr]  # it was started


def test_what_ends_an_agent_is_a_record(broker: BrokerProcess, run_agent: Callable[..., RunningAgent]) -> None:
    broker.start()
    source = f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{free_port()}/x"\n'
    fail = "from edgeaudio.agent.agent import Agent\ndef run(self): raise RuntimeError('mqtt://me:hunter2@h/')\n"
    agent = run_agent(broker, source, settings=ECS).start(patch=f"{fail}Agent.run = run")
    assert agent.wait() == 1
    last = lines(agent)[-1]
    assert (last["log"]["level"], last["message"]) == ("critical", "an exception ended the agent")
    assert last["error"]["message"] == "mqtt://me:***@h/"
    agent.log_file.unlink()
    fail = "from edgeaudio.agent.agent import Agent\nfrom edgeaudio.errors import EdgeaudioError\n"
    fail += "def run(self): raise EdgeaudioError('the disk is not writable; mount it')\n"
    agent.start(patch=f"{fail}Agent.run = run")
    assert agent.wait() == 2
    last = lines(agent)[-1]
    assert (last["message"], "error" in last) == ("the disk is not writable; mount it", False)
