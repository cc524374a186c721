"""Start: `edgeaudio --version`, the first `listening` at a subscriber, and the memory of the imports.

Owns: the commands that are timed. Does not know: live sources.

Times are by the clock, from the start of the process, each the median of several; memory is resident after the import.
"""

from __future__ import annotations

import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import MosquittoFactory
from support.media import sine, write_media
from support.programs import has_program
from support.tflite import model_directory
from support.waiting import wait_until

from edgeaudio.sinks.mqtt.topics import Topics
from tools.benchmarks.cores import SERVERS, pinned
from tools.benchmarks.figures import Figure, Target
from tools.benchmarks.peers import installed

VERSION_LIMIT_S, LISTENING_LIMIT_S = 0.15, 1.0
NOTED = 4  # largest imports that are named, where a limit is missed
_RSS = "\nimport re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])"
AGENT = "import edgeaudio.agent.agent, edgeaudio.commands.run, edgeaudio.recognise.model"
# what the agent cannot do without, imported alone
NEEDED = "import numpy, av, paho.mqtt.client, pydantic_settings, edgeaudio.recognise.interpreter"


def measure(*, short: bool) -> Iterator[Figure]:
    """Measure the command line, the agent, and the imports."""
    rounds = 3 if short else 15
    with pinned():
        yield _version(rounds)
        if has_program("mosquitto"):
            yield _listening(2 if short else 9)
        else:
            print("(without the agent's start: Mosquitto is not installed)", file=sys.stderr)
        yield _memory(1 if short else 3)


def _version(rounds: int) -> Figure:
    command = [sys.executable, "-m", "edgeaudio", "--version"]
    found = _medians({"edgeaudio": command, "Python alone": [sys.executable, "-c", "pass"]}, rounds)
    ours = found.pop("edgeaudio")
    target = Target(VERSION_LIMIT_S)
    note = "" if ours <= VERSION_LIMIT_S else _imports(command[1:])
    return Figure("edgeaudio --version", "s", ours, found, target, note)


def _medians(commands: dict[str, list[str]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each, in turn; the first round only fills the caches."""
    found: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            begin_s = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            found[name].append(time.perf_counter() - begin_s)
    return {name: statistics.median(durations[1:]) for name, durations in found.items()}


def _listening(rounds: int) -> Figure:
    """Measure an agent with one recording, the bundled model and a broker that is there."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as closes:
        folder = Path(place)
        model_directory(folder)
        write_media(folder / "tone.wav", "pcm_s16le", sine(1000, 16_000, 60), 16_000)
        with pinned(SERVERS):
            broker = MosquittoFactory(folder)().start()
            closes.callback(broker.stop)
        sources = f'[models.home]\n[sources.camera]\nurl = "{folder / "tone.wav"}"\nmodels = ["home"]\n'
        found = [_first_messages(RunningAgent(folder, broker.port, sources), broker.port) for _ in range(rounds + 1)]
    online_s, ours = (statistics.median(several) for several in zip(*found[1:], strict=True))
    note = "" if ours <= LISTENING_LIMIT_S else _imports(["-c", AGENT])
    others = {"`online`, its first message": online_s}
    return Figure("From the start to the first `listening`", "s", ours, others, Target(LISTENING_LIMIT_S), note)


def _first_messages(agent: RunningAgent, port: int) -> tuple[float, float]:
    """Return the seconds from the start until a subscriber has `online`, and until it has `listening`."""
    topics = Topics("edgeaudio", DEVICE)
    with Listener(port, topics.availability, topics.status("camera")) as listener:

        def arrival_s(payload: bytes) -> float | None:
            # what is retained is an earlier agent's
            heard = [each.at_s for each in list(listener.heard) if not each.retain and payload in each.payload]
            return min(heard, default=None)

        try:
            began_s = time.time()
            agent.start()
            wait_until(lambda: arrival_s(b'"listening"'), 20, "the agent does not listen")
            online_s, listening_s = arrival_s(b"online"), arrival_s(b'"listening"')
            assert online_s is not None
            assert listening_s is not None
            # an agent that was killed opens a source later at the next start
            agent.signal(signal.SIGTERM)
            agent.wait()
        finally:
            agent.kill()
    return online_s - began_s, listening_s - began_s


def _memory(rounds: int) -> Figure:
    programs = {"edgeaudio": AGENT, "NumPy, PyAV, runtime, paho, pydantic": NEEDED}
    if installed("librosa"):
        programs["librosa"] = "import librosa; librosa.feature.mfcc"
    if installed("tensorflow"):
        programs["TensorFlow"] = "import tensorflow"
    found = {name: statistics.median(resident_mb(program) for _ in range(rounds)) for name, program in programs.items()}
    return Figure("Memory after the imports", "MB", found.pop("edgeaudio"), found)


def resident_mb(program: str) -> float:
    """Return the memory of a Python process that has run `program`."""
    command = [sys.executable, "-c", program + _RSS]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return int(done.stdout.split()[-1]) * 1024 / 1e6


def _imports(arguments: Sequence[str]) -> str:
    """Return the packages that take longest to import, with all that they import, as `-X importtime` tells."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \|\s+([a-z_]+)$", done.stderr, re.MULTILINE)
    slowest = sorted(((int(micros), name) for micros, name in lines if name != "edgeaudio"), reverse=True)[:NOTED]
    return "imports: " + ", ".join(f"{name} {micros / 1000:.0f} ms" for micros, name in slowest)
