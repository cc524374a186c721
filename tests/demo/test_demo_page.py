"""`edgeaudio demo --dashboard`, as `make dashboard` runs it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.dashboards import WebSocketClient
from support.waiting import wait_until

from edgeaudio.demo.page import PORT
from edgeaudio.demo.scenario import read_cameras

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("amqtt", "starlette")),
    reason="amqtt or starlette is not installed: the extras `demo` and `dashboard` bring them",
)


def processes_of(mark: str) -> list[str]:
    """Command lines of the processes with this mark in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has just ended, or is another user's
            continue
    return found


def events(address: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{address}api/events?limit=500", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["events"]
    return found


def start(mark: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "edgeaudio", "demo", "--dashboard"]
    environment = {**os.environ, "MARK": mark}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def end(process: subprocess.Popen[str], mark: str) -> str:
    """Press Ctrl-C; return what was printed."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert processes_of(mark) == []
    return out


@pytest.mark.timeout(360)
def test_its_sounds_come_over_and_over_until_ctrl_c(tmp_path: Path):
    mark = f"of-{tmp_path}"
    with start(mark) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(
                r"5 cameras, one agent, one broker, and the page: (http://127\.0\.0\.1:\d+/) .*\n", line
            )
            assert found, line
            sounds = {(camera.name, camera.label) for camera in read_cameras()[1] if camera.label}

            def heard() -> Counter[tuple[str, str]]:
                return Counter((event["source"], event["label"]) for event in events(found[1]))

            # a round lasts 22 s; while others take the processor, a sound may be missed in one
            wait_until(
                lambda: set(heard()) == sounds and max(heard().values()) >= 2, 240,
                lambda: f"not all, and one of them again: {heard()}",
            )  # fmt: skip
            (event,) = [event for event in events(found[1]) if event["source"] == "kitchen"][-1:]
            assert event["media"]["clip"]["type"] == "audio/ogg"
            place = f"{found[1]}api/events/demo/kitchen/{event['id']}"
            with urllib.request.urlopen(f"{place}/clip", timeout=10) as answer:
                assert answer.read(4) == b"OggS"
            if importlib.util.find_spec("PIL") is not None:
                with urllib.request.urlopen(f"{place}/picture", timeout=10) as answer:
                    assert answer.headers["Content-Type"] == "image/jpeg"
            port = int(found[1].rpartition(":")[2].strip("/"))
            with WebSocketClient(port, "/api/listen?device=demo&source=hall") as listening:
                listening.read_until(lambda message: isinstance(message, bytes))
            assert set(heard()) == sounds
            assert len(processes_of(mark)) >= 9
            assert end(process, mark) == ""
        finally:
            process.terminate()  # by SIGKILL it could not end the others


def test_where_the_port_is_in_use_it_takes_another_and_ends_at_once(tmp_path: Path):
    mark = f"of-{tmp_path}"
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", PORT))
            other.listen()
        except OSError:
            pass  # in use already
        with start(mark) as process:
            try:
                assert process.stdout is not None
                line = process.stdout.readline()
                assert "http://127.0.0.1:" in line
                assert f":{PORT}/" not in line
                assert end(process, mark) == ""
            finally:
                process.terminate()  # by SIGKILL it could not end the others
