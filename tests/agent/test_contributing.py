"""The sink in CONTRIBUTING.md works as written, beside MQTT and without a broker."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.agents import LABEL, RunningAgent
from support.media import sine, write_media
from support.ports import free_port
from support.waiting import wait_until

CONTRIBUTING = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.mark.usefixtures("model")
def test_the_sink_of_the_guide_writes_detections(tmp_path: Path):
    tape = tmp_path / "tape.wav"
    write_media(tape, "pcm_s16le", sine(1000.0, 8000, 4.0), 8000)
    # for its settings alone; nothing listens on that port
    RunningAgent(tmp_path, free_port(), f'[sources.porch]\nurl = "{tape}"\n')
    blocks = re.findall(r"^   ```python\n(.*?)^   ```$", CONTRIBUTING.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    script = tmp_path / "run.py"
    script.write_text("\n\n".join(re.sub(r"^   ", "", block, flags=re.MULTILINE) for block in blocks))
    written = tmp_path / "detections.jsonl"

    def events() -> list[dict[str, object]]:
        return [json.loads(line) for line in written.read_text().splitlines()] if written.exists() else []

    with (tmp_path / "log").open("wb") as log:
        agent = subprocess.Popen([sys.executable, script], cwd=tmp_path, stdout=log, stderr=log)
    try:
        wait_until(lambda: len(events()) == 2, 20, "it wrote no two events")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(10) == 0, (tmp_path / "log").read_text()
    finally:
        agent.kill()
        agent.wait()
    assert [(event["source"], event["kind"], event["label"]) for event in events()] == [
        ("porch", "onset", LABEL),
        ("porch", "offset", LABEL),
    ]


def test_every_file_that_the_guide_names_exists():
    text = CONTRIBUTING.read_text()
    named = set(re.findall(r"`((?:edgeaudio|tests|docs|tools|deploy|examples)/[\w./-]+)`", text))
    assert len(named) > 15
    assert [path for path in named if not (CONTRIBUTING.parent / path).exists() and "NAME" not in path] == []


def test_every_target_that_the_guide_names_is_in_the_makefile():
    makefile = (CONTRIBUTING.parent / "Makefile").read_text()
    for target in re.findall(r"(?:`|    )make ([a-z][a-z-]*)", CONTRIBUTING.read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
