"""Only the agent's own threads use the processor: a library's pool that spins costs a core."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.media import sine, write_media
from support.ports import free_port
from support.waiting import wait_until

# imported by every Python with its folder on PYTHONPATH, before edgeaudio
_TELLER = """
import json, os, threading, time

def tell():
    while True:
        names = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id}
        with open("threads.tmp", "w") as file:
            json.dump(names, file)
        os.replace("threads.tmp", "threads.json")
        time.sleep(0.1)

threading.Thread(target=tell, name="teller", daemon=True).start()
"""
_OWN = {"MainThread", "capture-tape", "health", "memory", "mqtt", "recogniser", "sender", "stderr", "teller"}
_POOLS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_STARTERS = {
    "module": [sys.executable, "-m", "edgeaudio"],
    "script": [str(Path(sys.executable).with_name("edgeaudio"))],
    "function": [sys.executable, "-c", "import sys; from edgeaudio.cli import main; sys.exit(main(sys.argv[1:]))"],
}


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _POOLS}
    return {**kept, "PYTHONPATH": str(folder), "RUNTIME_DIRECTORY": str(folder / "run"), **more}


class Agent:
    """An agent with the bundled model and a recording of G.711, in real time."""

    def __init__(self, folder: Path, starter: list[str], **more: str) -> None:
        self._folder = folder
        (folder / "sitecustomize.py").write_text(_TELLER)
        write_media(folder / "tape.wav", "pcm_alaw", sine(1000.0, 8000, 60.0), 8000)
        (folder / "edgeaudio.toml").write_text(
            f'state_dir = "state"\n[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n[sources.tape]\nurl = "tape.wav"\n'
        )
        command = [*starter, "run", "--config", "edgeaudio.toml"]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(folder, **more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def names(self) -> dict[int, str]:
        """Return Python's threads, by the kernel's number."""
        try:
            return {
                int(number): name for number, name in json.loads((self._folder / "threads.json").read_text()).items()
            }
        except FileNotFoundError:
            return {}

    def cpu_s(self) -> dict[int, float]:
        """Return the CPU time of each thread, Python's or not, as the kernel counts it."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it may end in the meantime
                fields = (task / "stat").read_text().rpartition(")")[2].split()
                found[int(task.name)] = (int(fields[11]) + int(fields[12])) / _TICKS_PER_S
        return found

    def of(self, name: str) -> float:
        """Return the CPU time of the Python thread of that name."""
        numbers = [number for number, each in self.names().items() if each == name]
        return sum(self.cpu_s().get(number, 0.0) for number in numbers)


@pytest.fixture
def agents() -> Iterator[list[Agent]]:
    started: list[Agent] = []
    yield started
    for agent in started:
        agent.process.kill()
        agent.process.wait(10)


@pytest.mark.parametrize("starter", _STARTERS)
def test_only_the_agents_own_threads_use_the_processor(starter: str, tmp_path: Path, agents: list[Agent]) -> None:
    agents.append(agent := Agent(tmp_path, _STARTERS[starter]))
    wait_until(lambda: agent.of("recogniser") >= 0.05, 60, "the recogniser has nothing to do")
    names, used_s = agent.names(), agent.cpu_s()
    assert set(names.values()) == _OWN
    strangers = {number: seconds for number, seconds in used_s.items() if number not in names}
    # at most the interpreter's watch over the main thread, which sleeps and is replaced each second
    assert len(strangers) <= 1
    assert sum(strangers.values()) <= 0.02


@pytest.mark.parametrize("command", ["probe", "score", "check"])
def test_other_commands_make_no_thread_pool(command: str, tmp_path: Path) -> None:
    write_media(tmp_path / "tape.wav", "pcm_s16le", sine(1000.0, 16000, 1.5), 16000)
    (tmp_path / "edgeaudio.toml").write_text(
        f'state_dir = "state"\n[mqtt]\nurl = "mqtt://127.0.0.1:{free_port()}"\n[sources.tape]\nurl = "tape.wav"\n'
    )
    arguments = [command, "--config", "edgeaudio.toml", *([] if command == "check" else ["tape"])]
    # a thread that has been joined may need a moment to go
    program = (
        f"import os, time\nfrom edgeaudio.cli import main\nmain({arguments})\ndeadline_s = time.monotonic() + 5\n"
        "while len(os.listdir('/proc/self/task')) > 1 and time.monotonic() < deadline_s:\n    time.sleep(0.01)\n"
        "print(len(os.listdir('/proc/self/task')))"
    )
    assert said(program, tmp_path) == "1"


def test_the_user_s_number_of_threads_is_kept(tmp_path: Path) -> None:
    program = "import os\nfrom edgeaudio.cli import main\nmain(['check', '--schema'])\nprint(os.environ['{}'])"
    assert said(program.format("OPENBLAS_NUM_THREADS"), tmp_path, OPENBLAS_NUM_THREADS="2") == "2"
    assert said(program.format("OPENBLAS_NUM_THREADS"), tmp_path, OPENBLAS_NUM_THREADS="") == "1"
    assert said(program.format("MKL_NUM_THREADS"), tmp_path, OPENBLAS_NUM_THREADS="2") == "1"


def test_the_library_does_not_change_the_process(tmp_path: Path) -> None:
    program = "import os, edgeaudio\nbefore = dict(os.environ)\nedgeaudio.listen([])\nprint(os.environ == before)"
    assert said(program, tmp_path) == "True"
    program = (
        "import os, numpy\nfrom edgeaudio.cli import main\nmain(['check', '--schema'])\nprint(os.environ.get('{}'))"
    )
    assert said(program.format(_POOLS[0]), tmp_path) == "None"


def said(program: str, folder: Path, **more: str) -> str:
    """Return the last line printed by a Python process."""
    command = [sys.executable, "-c", program]
    environ = environment(folder, **more)
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()[-1]
