"""Clips of a running agent: written, finished at a stop, and never in the way of a detection."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.clip_studio import clips_in, quiet
from support.clips import listing_of
from support.media import sine, write_media
from support.sound_files import decoded
from support.waiting import wait_until

RATE = 8000
MakeAgent = Callable[..., RunningAgent]
MakeListener = Callable[[BrokerProcess], Listener]


def tape_with_tones(path: Path, *begins_s: float, n_s: float = 12.0) -> Path:
    sound = quiet(round(n_s * RATE)).astype(np.float64)
    for begin_s in begins_s:
        tone = sine(1000.0, RATE, 1.0).ravel()
        sound[round(begin_s * RATE) :][: len(tone)] += tone / np.abs(tone).max() / 2
    write_media(path, "pcm_s16le", sound[None].astype(np.float32), RATE)
    return path


def test_an_agent_writes_clips_of_a_recording(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    tape = tape_with_tones(tmp_path / "tape.wav", 5.0)
    clips = '[clips]\nenabled = true\nformat = "flac"\nlabels = ["second"]\nmin_free_mb = 0\n'
    agent = run_agent(broker, f'{clips}[sources.porch]\nurl = "{tape}"\n').start()
    onset, offset = listener.wait_detection("onset"), listener.wait_detection("offset")
    folder = tmp_path / "state" / "clips"
    wait_until(lambda: listing_of(folder).count if folder.exists() else 0, 30)
    (clip,) = clips_in(folder)
    record = clip.record
    assert (record.id, record.device, record.source, record.label) == (onset["id"], "testbox", "porch", LABEL)
    assert abs(record.score - offset["score"]) < 1e-3  # rounded on the wire
    assert record.model_sha256 is not None
    assert (record.threshold, record.off_threshold) == (0.65, 0.6)
    found, _ = decoded(clip.sound)
    sound, _ = decoded(tape)
    assert np.array_equal(found, sound[record.origin.first :][: len(found)])
    assert record.sound.onset == 3 * RATE
    assert abs(record.origin.first + record.sound.onset - 5 * RATE) < 0.1 * RATE
    assert agent.process is not None
    assert oct(clip.sound.stat().st_mode & 0o777) == "0o600"


SLOWLY = """
import time
from edgeaudio.media.writer import AudioWriter
close = AudioWriter.close
AudioWriter.close = lambda self: (time.sleep(1.2), close(self))[1]
"""


@pytest.mark.parametrize("patch", ["", SLOWLY], ids=["at once", "slowly"])
def test_a_stopped_agent_finishes_its_clips(
    patch: str, broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    tape = tape_with_tones(tmp_path / "tape.wav", 1.0, n_s=2.5)
    clips = "[clips]\nenabled = true\nafter_s = 30.0\nmin_free_mb = 0\n"
    agent = run_agent(broker, f'{clips}[sources.porch]\nurl = "{tape}"\nloop = true\n').start(patch=patch)
    listener.wait_detection("onset", count=1)
    agent.signal(signal.SIGTERM)
    assert agent.wait() == 0
    found = clips_in(tmp_path / "state" / "clips")
    assert found
    assert all(clip.record.sound.format == "opus" for clip in found)


def test_a_folder_that_cannot_be_written_is_one_line_and_detections_go_on(
    broker: BrokerProcess, run_agent: MakeAgent, listen_to: MakeListener, tmp_path: Path
):
    broker.start()
    listener = listen_to(broker)
    tape = tape_with_tones(tmp_path / "tape.wav", 1.0, n_s=3.0)
    (tmp_path / "blocked").write_text("mine")
    clips = f'[clips]\nenabled = true\nfolder = "{tmp_path}/blocked/clips"\n'
    agent = run_agent(broker, f'{clips}[sources.porch]\nurl = "{tape}"\nloop = true\n').start()
    listener.wait_detection("onset")

    def health() -> dict[str, Any]:
        reports = listener.payloads("/health")
        return reports[-1].get("sinks", {}).get("clips", {}) if reports else {}

    wait_until(lambda: health().get("state") == "failed")
    assert health()["detail"] == f"clips cannot be written to {tmp_path}/blocked/clips: Not a directory"
    assert sum("clips cannot be written" in line for line in agent.log.splitlines()) == 1


def test_a_label_that_no_model_has_is_one_line(broker: BrokerProcess, run_agent: MakeAgent, tmp_path: Path):
    broker.start()
    agent = run_agent(broker, "[clips]\nenabled = true\n[clips.never_with]\nspeach = 0.2\n").start()
    assert agent.wait() == 2
    assert [line for line in agent.log.splitlines() if "speach" in line] == [
        'edgeaudio: clips.never_with: the model has no label "speach"; `edgeaudio score --json --top 999` shows all'
    ]
