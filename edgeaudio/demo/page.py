"""The demo on the dashboard: cameras that play over and over, the agent, a broker and the page, until stopped.

Owns: what is started in which order, and the one line that is printed. Does not know: what the page shows.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Final

from edgeaudio.demo.processes import START_S, agent, embedded_broker, free_ports, page, playing
from edgeaudio.demo.scenario import read_cameras
from edgeaudio.errors import EdgeaudioError
from edgeaudio.terminal import print_error, print_out

PORT: Final = 8420  # of the dashboard by default
_STEP_S: Final = 0.2
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_demo_page(broker: str | None) -> int:
    """Run it until SIGINT, SIGTERM or SIGHUP; returns 0, or 1 if agent or dashboard ended by themselves.

    Raises EdgeaudioError if something cannot be started.
    """
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in _SIGNALS}
    try:
        with tempfile.TemporaryDirectory(prefix="edgeaudio-demo-") as folder:
            return _run(Path(folder), broker, stop)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(folder: Path, broker: str | None, stop: threading.Event) -> int:
    _, cameras = read_cameras()
    port = _page_port()
    with ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("w+"))
        url = broker or stack.enter_context(embedded_broker())
        ports = dict(zip((camera.name for camera in cameras), free_ports(len(cameras)), strict=True))
        processes = {
            "dashboard": stack.enter_context(page(folder, url, port, log)),
            "agent": stack.enter_context(agent(folder, url, ports, log, clips=True)),
        }
        for camera in cameras:
            stack.enter_context(playing(camera, ports[camera.name], repeat=True))
        if _wait_for_page(port, processes["dashboard"], stop):
            address = f"http://127.0.0.1:{port}/"
            print_out(
                f"{len(cameras)} cameras, one agent, one broker, and the page: {address} (Ctrl-C ends it)", flush=True
            )
        while not stop.wait(_STEP_S):
            ended = [name for name, process in processes.items() if process.poll() is not None]
            if ended:
                _report(ended, log)
                return 1
    return 0


def _page_port() -> int:
    """Return the dashboard's own port, or another where that is in use."""
    with suppress(OSError), socket.create_server(("127.0.0.1", PORT)):
        return PORT
    return free_ports(1)[0]


def _wait_for_page(port: int, process: subprocess.Popen[str], stop: threading.Event) -> bool:
    """Wait until the page answers; False if it will not, or need not any more."""
    deadline_s = time.monotonic() + START_S
    while process.poll() is None and not stop.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        if time.monotonic() > deadline_s:
            raise EdgeaudioError(f"the dashboard did not answer within {START_S:g} s; try again on a machine at rest")
        stop.wait(_STEP_S)
    return False


def _report(ended: list[str], log: IO[str]) -> None:
    log.seek(0)
    print_error(f"{' and '.join(ended)} ended; the log:\n{log.read()}")
