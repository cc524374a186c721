"""The tool that shows that a change changes no score: it sees none where there is none, and one where there is."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.media import sine, write_media

from tools.maintenance.compare_scores import HERE, differing


def test_a_checkout_says_what_it_says_and_another_one_that_differs_is_found(tmp_path: Path):
    recording = tmp_path / "tone.wav"
    write_media(recording, "pcm_s16le", sine(3100.0, 16000, 4.0), 16000)
    other = tmp_path / "other"
    shutil.copytree(HERE / "edgeaudio", other / "edgeaudio", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE / "models", other / "models")
    assert differing(HERE, other, [recording]) == []
    pipeline = other / "edgeaudio" / "recognise" / "pipeline.py"
    source = pipeline.read_text()
    assert "model.scores(clip.values)" in source
    pipeline.write_text(
        source.replace("model.scores(clip.values)", "model.scores(clip.values) * np.float32(0.9999999)")
    )
    assert differing(HERE, other, [recording]) == [str(recording)]
