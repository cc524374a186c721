"""The demo's processes: broker, agent, cameras. Each runs as long as its context.

Owns: how they are started, and that they end. Does not know: what is shown of them (demo.py, page.py).
"""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue

from edgeaudio.demo.scenario import Camera
from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import installing

DEVICE = "demo"
CLIP_S = 8.0
START_S = 30.0  # for broker and agent, on a slow board
STOP_S = 5.0


@contextmanager
def embedded_broker() -> Iterator[str]:
    """Yield the address of a broker on loopback. Raises EdgeaudioError if it does not start."""
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "edgeaudio.demo.broker", str(port)]
    with running(command, stderr=subprocess.DEVNULL) as process:
        deadline_s = time.monotonic() + START_S
        while time.monotonic() < deadline_s and process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                yield f"mqtt://127.0.0.1:{port}"
                return
            time.sleep(0.05)
    raise EdgeaudioError(
        f"the embedded broker did not start; name one with --broker, or install it: {installing('demo')}"
    )


@contextmanager
def agent(
    folder: Path, broker: str, ports: dict[str, int], log: object, *, clips: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Run `edgeaudio run`, which waits for a camera on each port; it logs into the file `log`.

    `clips`: it publishes the sound around each event, short so that it comes soon, and its picture if Pillow is there,
    and live sound.
    """
    lines = [f'device = "{DEVICE}"', f'state_dir = "{folder}"', "[health]", "interval_s = 5"]
    if clips:
        picture = "none" if importlib.util.find_spec("PIL") is None else "jpeg"
        lines += ["[clips]", "enabled = true", f"longest_s = {CLIP_S}", "max_mb = 100", "min_free_mb = 0"]
        publish = '["clip"]' if picture == "none" else '["clip", "image"]'
        lines += [f'picture = "{picture}"', f"publish = {publish}", "[live]", "audio = true"]
    for name, port in ports.items():
        lines += [f"[sources.{name}]", f'url = "rtsp+listen://127.0.0.1:{port}/{name}"']
    config = folder / "edgeaudio.toml"
    config.write_text("\n".join(lines) + "\n")
    environment = {**os.environ, "EDGEAUDIO_MQTT__URL": broker}
    command = [sys.executable, "-m", "edgeaudio", "run", "--config", str(config)]
    with running(command, stderr=log, env=environment) as process:
        yield process


@contextmanager
def page(folder: Path, broker: str, port: int, log: object) -> Iterator[subprocess.Popen[str]]:
    """Run `edgeaudio dashboard` on a port of loopback; it logs into the file `log`."""
    config = folder / "dashboard.toml"
    config.write_text(f'device = "{DEVICE}"\nstate_dir = "{folder}"\n[dashboard]\nlisten = "127.0.0.1:{port}"\n')
    environment = {**os.environ, "EDGEAUDIO_MQTT__URL": broker}
    command = [sys.executable, "-m", "edgeaudio", "dashboard", "--config", str(config)]
    with running(command, stdout=subprocess.DEVNULL, stderr=log, env=environment) as process:
        yield process


@contextmanager
def playing(camera: Camera, port: int, *, repeat: bool = False) -> Iterator[SimpleQueue[float]]:
    """Push a camera's sound, once or over and over; yield a queue with the time of its first sample."""
    url = f"rtsp://127.0.0.1:{port}/{camera.name}"
    command = [sys.executable, "-m", "edgeaudio.demo.camera", url, str(camera.file)]
    command += [camera.codec, str(camera.sample_rate), *(["repeat"] if repeat else [])]
    began: SimpleQueue[float] = SimpleQueue()
    with running(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:

        def read() -> None:
            for line in process.stdout or ():
                began.put(float(line.split()[1]))

        threading.Thread(target=read, daemon=True).start()
        yield began


@contextmanager
def running(command: Sequence[str], **how: object) -> Iterator[subprocess.Popen[str]]:
    """Run a program, and end it with the context."""
    # a group of its own: Ctrl-C ends the demo, which ends these in their order
    process = subprocess.Popen(command, text=True, process_group=0, **how)  # type: ignore[call-overload]  # noqa: S603 (modules of this package)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback on which nothing listens."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
