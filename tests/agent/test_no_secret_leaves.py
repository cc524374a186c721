"""Passwords of an agent and of commands, refused by real servers, appear in no output."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess, MosquittoFactory
from support.ports import free_port
from support.rtsp import CODECS, start_gst_server

PASSWORD = "Qx#Z@jK/vW%41:\u00fc\u20ac Jq?V'z"
CODED = quote(PASSWORD, safe="")


def shown(output: str) -> list[str]:
    """Return four consecutive characters of the password, or of its encoded form, that are in the output."""
    parts = {form[i : i + 4] for form in (PASSWORD, CODED) for i in range(len(form) - 3)}
    return [part for part in parts if part.casefold() in output.casefold()]


def sources(refusing: str) -> str:
    host = refusing.removeprefix("rtsp://")
    nobody = f"127.0.0.1:{free_port()}"
    return (
        f'[sources.inside]\nurl = "rtsp://user:{CODED}@{host}"\n'
        f'[sources.beside]\nurl = "{refusing}"\nusername = "user"\npassword = "{PASSWORD}"\n'
        f'[sources.token]\nurl = "rtsp://{CODED.replace("%3A", "")}@{host}"\n'
        f'[sources.path]\nurl = "rtsp://{nobody}/user=me_password={CODED}_channel=1.sdp"\n'
        f'[sources.query]\nurl = "http://{nobody}/x?loginpas={CODED}&channel=1"\n'
    )


def test_an_agent_whose_logins_are_refused_shows_no_secret(
    any_broker: BrokerProcess, run_agent: Callable[..., RunningAgent], listen_to: Callable[[BrokerProcess], Listener]
) -> None:
    any_broker.start()
    listener = listen_to(any_broker)
    with start_gst_server(CODECS["pcm_alaw"][1], auth="digest") as server:
        agent = run_agent(any_broker, sources(server.url), settings='log_level = "debug"').start()
        for name in ("inside", "beside", "token"):
            listener.wait_state(name, "waiting", "unauthorized")
        for name in ("path", "query"):
            listener.wait_state(name, "waiting", "refused")
        commands = agent.command_lines
    told = [message.topic + message.payload.decode() for message in listener.heard]
    assert "user:***@" in agent.log
    assert "/user=***_password=***_channel=1.sdp" in agent.log
    assert shown("\n".join([agent.log, commands, *told])) == []


def test_commands_whose_logins_are_refused_show_no_secret(
    mosquitto: MosquittoFactory, model: Path, tmp_path: Path
) -> None:
    broker = mosquitto(users={"me": "right"}).start()
    with start_gst_server(CODECS["pcm_alaw"][1], auth="basic") as server:
        (tmp_path / "edgeaudio.toml").write_text(
            f'state_dir = "state"\n[mqtt]\nurl = "mqtt://me:{CODED}@127.0.0.1:{broker.port}"\n'
            f'[models.test]\npath = "{model}"\n{sources(server.url)}'
        )
        config = ["--config", str(tmp_path / "edgeaudio.toml")]
        arguments = [["check", *config], ["check", *config, "--print"]]
        arguments += [
            [command, *config, name] for command in ("probe", "score") for name in ("inside", "beside", "query")
        ]
        said = [run(*each) for each in arguments]
    assert "login" in said[0]
    assert "unauthorized" not in said[1]
    assert shown("\n".join(said)) == []


def run(*arguments: str) -> str:
    """Return the output of a command, that of its libraries included."""
    command = [sys.executable, "-m", "edgeaudio", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    assert done.stdout
    return done.stdout.decode()
