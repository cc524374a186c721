"""The commands of docs/models.md bring the models that they are about."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from support.tflite import MODELS

from edgeaudio import cli

TEXT = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
SECTION = TEXT.partition("\n## Other people's models\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^    (edgeaudio model init \S+\.tflite(?:.*\\\n)*.*)$", SECTION, re.MULTILINE)
NOT_HERE = ("yamnet_audio_classifier_with_metadata.tflite", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
HERE = [command for command in COMMANDS if not any(name in command for name in NOT_HERE)]


def test_each_kind_has_its_commands():
    assert len(COMMANDS) == len(HERE) + len(NOT_HERE)
    titles = re.findall(r"^### (.*)$", SECTION, re.MULTILINE)
    assert titles == [
        "TensorFlow's tutorials", "Teachable Machine", "Edge Impulse",
        "MediaPipe, Model Maker and TensorFlow Lite Support", "Others",
    ]  # fmt: skip


@pytest.mark.parametrize("command", HERE)
def test_the_model_is_described_and_runs(tmp_path, monkeypatch, capfd, command):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("\\\n", " "))
    n_labels = 2 if "open_wave" in command else 3
    Path("labels.txt").write_text("go\nno\nstop\n"[: 3 * n_labels])
    Path("teachable_labels.txt").write_text("0 Background Noise\n1 no\n2 yes\n")
    Path("metadata.json").write_text('{"tfjsSpeechCommandsVersion": "0.4.0", "wordLabels": ["noise", "no", "yes"]}')
    for name in (word for word in words if word.endswith(".tflite")):
        found = [path for path in (MODELS / name, MODELS / "others" / name) if path.exists()]
        shutil.copy(found[0], name)
    assert cli.main([*words[1:], "--out", "model"]) == 0, capfd.readouterr().err
    assert cli.main(["model", "verify", "model"]) == 0, capfd.readouterr()
