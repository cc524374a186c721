"""Start: `edgeaudio --version`, the first `listening` at a subscriber, and the memory of the imports.

Owns: the commands that are timed. Does not know: live sources.

Times are by the clock, from the start of the process, each the median of several; memory is resident after the import.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from support.agents import DEVICE, Listener, RunningAgent
from support.brokers import Heard, MosquittoFactory
from support.media import sine, write_media
from support.programs import has_program
from support.tflite import model_directory
from support.waiting import wait_until

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
    """Measure an agent with one recording, the shipped model and a broker that is there."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as closes:
        folder = Path(place)
        model_directory(folder)
        write_media(folder / "tone.wav", "pcm_s16le", sine(1000, 16_000, 60), 16_000)
        with pinned(SERVERS):
            broker = MosquittoFactory(folder)().start()
            closes.callback(broker.stop)
        sources = f'[models.home]\n[sources.camera]\nurl = "{folder / "tone.wav"}"\nmodels = ["home"]\n'
        durations = [
            _first_listening(RunningAgent(folder, broker.port, sources), broker.port) for _ in range(rounds + 1)
        ]
    ours = statistics.median(durations[1:])
    note = "" if ours <= LISTENING_LIMIT_S else _imports(["-c", AGENT])
    return Figure("From the start to the first `listening`", "s", ours, target=Target(LISTENING_LIMIT_S), note=note)


def _first_listening(agent: RunningAgent, port: int) -> float:
    with Listener(port, f"edgeaudio/{DEVICE}/camera/status") as listener:
        try:
            began_s = time.time()
            agent.start()
            wait_until(lambda: any(map(_is_listening, listener.heard)), 20, "the agent does not listen")
            return next(filter(_is_listening, listener.heard)).at_s - began_s
        finally:
            agent.kill()


def _is_listening(heard: Heard) -> bool:
    """True for a state of this agent; what is retained is an earlier one's."""
    return not heard.retain and b'"listening"' in heard.payload


def _memory(rounds: int) -> Figure:
    programs = {"edgeaudio": AGENT, "NumPy, PyAV, runtime, paho, pydantic": NEEDED}
    if installed("librosa"):
        programs["librosa"] = "import librosa; librosa.feature.mfcc"
    if installed("tensorflow"):
        programs["TensorFlow"] = "import tensorflow"
    found = {
        name: statistics.median(_resident_mb(program) for _ in range(rounds)) for name, program in programs.items()
    }
    return Figure("Memory after the imports", "MB", found.pop("edgeaudio"), found)


def _resident_mb(program: str) -> float:
    command = [sys.executable, "-c", program + _RSS]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return int(done.stdout.split()[-1]) / 1024


def _imports(arguments: Sequence[str]) -> str:
    """Return the packages that take longest to import, with all that they import, as `-X importtime` tells."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \|\s+([a-z_]+)$", done.stderr, re.MULTILINE)
    slowest = sorted(((int(micros), name) for micros, name in lines if name != "edgeaudio"), reverse=True)[:NOTED]
    return "imports: " + ", ".join(f"{name} {micros / 1000:.0f} ms" for micros, name in slowest)
