"""The tool that compares scores before and after a change finds every difference, and no other."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.media import sine, write_media

from tools.maintenance.compare_scores import HERE, differing


def test_equal_checkouts_compare_equal_and_a_difference_is_found(tmp_path: Path):
    recording = tmp_path / "tone.wav"
    write_media(recording, "pcm_s16le", sine(3100.0, 16000, 4.0), 16000)
    other = tmp_path / "other"
    shutil.copytree(HERE / "edgeaudio", other / "edgeaudio", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "models", other / "models")
    assert differing(HERE, other, [recording]) == []
    pipeline = other / "edgeaudio" / "recognise" / "pipeline.py"
    source = pipeline.read_text()
    assert ".scores(clip.values)" in source
    pipeline.write_text(source.replace(".scores(clip.values)", ".scores(clip.values) * np.float32(0.9999999)"))
    assert differing(HERE, other, [recording]) == [str(recording)]
