"""A stream of speech through nginx's RTMP server, which can be cut, and what of it was sent.

Owns: the server, and the process that pushes in real time. Does not know: agents, recognisers, what came out.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import av
import numpy as np
from support.ports import free_port
from support.programs import require_program

from edgeaudio.types import UTTERANCE_RATE, Samples
from tools.synth.flite import spoken

ROOT = Path(__file__).parents[2]
MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
PAUSE_S = 1.5  # after each sentence
SURE_S = 1.0  # before a cut, after which what was sent was heard


class Nginx:
    """nginx that passes on an RTMP stream, until it is killed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        port = free_port()
        self.url = f"rtmp://127.0.0.1:{port}/live/studio"
        self._folder = folder
        self._config = folder / "nginx.conf"
        user = "user root;\n" if os.geteuid() == 0 else ""
        self._config.write_text(
            f"{user}daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/nginx.log;\n"
            f"load_module {MODULE};\nevents {{}}\n"
            f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        stack.callback(self.kill)

    def start(self) -> None:
        command = [require_program("nginx"), "-p", str(self._folder), "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


class Pusher:
    """A process that pushes a stream in real time: silence, and what it is given to say."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder = folder / "push"
        self._folder.mkdir()
        self._url = url
        self._number = 0
        self._given: list[list[str]] = []  # sentences of each piece
        self._cut_s: list[float] = []  # wall
        self._process: subprocess.Popen[bytes] | None = None
        self.start()
        stack.callback(self.cut)

    def start(self) -> None:
        command = [sys.executable, "-m", "chaos.speech_stream", self._url, str(self._folder)]
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=ROOT)

    def cut(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
            self._cut_s.append(time.time())
            for begun in self._folder.glob("*.begun"):
                begun.with_suffix(".done").touch()  # it will not be said to its end

    def say(self, sentences: Sequence[str]) -> None:
        """Give sentences, one piece each, with a pause after each."""
        for sentence in sentences:
            pause = np.zeros(round(PAUSE_S * UTTERANCE_RATE), np.float32)
            self.play(np.concatenate([spoken(sentence).samples, pause]), sentence)

    def play(self, samples: Samples, *sentences: str) -> None:
        """Give sound to push, float32 at UTTERANCE_RATE."""
        new = self._folder / f"{self._number}.new.npy"
        np.save(new, samples)
        new.rename(self._folder / f"{self._number:03d}.npy")
        self._given.append(list(sentences))
        self._number += 1

    @property
    def is_silent(self) -> bool:
        """True if all that was given was pushed."""
        return len(list(self._folder.glob("*.done"))) == self._number

    @property
    def is_saying(self) -> bool:
        """True if the last piece is being pushed."""
        return (self._folder / f"{self._number - 1:03d}.begun").exists()

    def heard(self) -> dict[str, float]:
        """Return the sentences that were sent whole, SURE_S before any cut, and when each had ended, as wall time."""
        found: dict[str, float] = {}
        for number, sentences in enumerate(self._given):
            begun = self._folder / f"{number:03d}.begun"
            length_s = len(np.load(self._folder / f"{number:03d}.npy")) / UTTERANCE_RATE
            if not begun.exists():
                continue
            began_s = float(begun.read_text())
            end_s = began_s + length_s - PAUSE_S
            if any(began_s < cut_s < end_s + SURE_S for cut_s in self._cut_s):
                continue
            found |= dict.fromkeys(sentences, end_s)
        return found


def push(url: str, folder: Path) -> None:
    """Push silence to an RTMP server in real time, and each file NUMBER.npy of the folder as it comes."""
    rate, hop = UTTERANCE_RATE, UTTERANCE_RATE // 50
    with av.open(url, "w", format="flv") as output:
        stream = output.add_stream("aac", rate=rate, layout="mono")
        began_s, sent = time.time(), 0
        for samples in _pieces(folder, hop):
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
            frame.rate, frame.pts = rate, sent
            output.mux(stream.encode(frame))
            sent += len(samples)
            time.sleep(max(0.0, began_s + sent / rate - time.time()))


def _pieces(folder: Path, hop: int) -> Iterator[Samples]:
    """Yield silence, and each file once, a hop at a time; note when a file begins and when it was sent."""
    noise = np.random.default_rng(1).standard_normal(hop).astype(np.float32) * np.float32(1e-4)
    while True:
        waiting = [
            path for path in sorted(folder.glob("[0-9][0-9][0-9].npy")) if not path.with_suffix(".begun").exists()
        ]
        if not waiting:
            yield noise
            continue
        samples = np.load(waiting[0])
        waiting[0].with_suffix(".begun").write_text(repr(time.time()))
        samples = np.pad(samples, (0, -len(samples) % hop))
        for first in range(0, len(samples), hop):
            yield samples[first : first + hop] + noise
        waiting[0].with_suffix(".done").touch()


if __name__ == "__main__":
    push(sys.argv[1], Path(sys.argv[2]))
