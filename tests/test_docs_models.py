"""The commands of docs/models.md bring the models that they are about."""

import json
import os
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.sounds import write_tones
from support.tflite import MODELS

from edgeaudio import cli
from edgeaudio.commands.model import download, staging
from edgeaudio.commands.model.catalogue import catalogue, download_bytes
from edgeaudio.recognise.model import MAX_MODEL_BYTES
from edgeaudio.toml_reader import loads
from tools import evaluate_model

TEXT = (Path(__file__).parents[1] / "docs" / "models.md").read_text()
ADDING = TEXT.partition("\n## Add one from the catalogue\n")[2].partition("\n## ")[0]
ADD_COMMANDS = re.findall(r"^    edgeaudio (model add .*)$", ADDING, re.MULTILINE)
SECTION = TEXT.partition("\n## Bring a model that exists\n")[2].partition("\n## ")[0]
COMMANDS = re.findall(r"^    (edgeaudio model init \S+\.tflite(?:.*\\\n)*.*)$", SECTION, re.MULTILINE)
NOT_HERE = ("yamnet_audio_classifier_with_metadata.tflite", "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite")
HERE = [command for command in COMMANDS if not any(name in command for name in NOT_HERE)]


def test_each_kind_has_its_commands():
    assert len(COMMANDS) == len(HERE) + len(NOT_HERE)
    titles = re.findall(r"^### (.*)$", SECTION, re.MULTILINE)
    assert titles == [
        "TensorFlow's tutorials", "Teachable Machine", "Edge Impulse",
        "MediaPipe, Model Maker and TensorFlow Lite Support", "Others", "Wake words: microWakeWord and ESPHome",
    ]  # fmt: skip


@pytest.mark.parametrize("command", HERE)
def test_the_model_is_described_and_runs(tmp_path, monkeypatch, capfd, command):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command.replace("\\\n", " "))
    n_labels = 2 if "open_wave" in command else 3
    Path("labels.txt").write_text("go\nno\nstop\n"[: 3 * n_labels])
    Path("teachable_labels.txt").write_text("0 Background Noise\n1 no\n2 yes\n")
    Path("metadata.json").write_text('{"tfjsSpeechCommandsVersion": "0.4.0", "wordLabels": ["noise", "no", "yes"]}')
    if "wake_word.tflite" in words and "--preset" not in words:
        rule = {"probability_cutoff": 0.9, "sliding_window_size": 5, "feature_step_size": 10}
        Path("wake_word.json").write_text(json.dumps({"type": "micro", "wake_word": "Go", "micro": rule}))
    for name in (word for word in words if word.endswith(".tflite")):
        found = [path for path in (MODELS / name, MODELS / "others" / name) if path.exists()]
        shutil.copy(found[0], name)
    assert cli.main([*words[1:], "--out", "model"]) == 0, capfd.readouterr().err
    assert cli.main(["model", "verify", "model"]) == 0, capfd.readouterr()


@pytest.mark.parametrize("command", ADD_COMMANDS)
def test_a_model_is_added_by_options_that_exist(command):
    options = cli.parser().parse_args(shlex.split(command))
    what = options.what
    assert options.list or "://" in what or what.endswith(".tflite") or what in catalogue()


def test_the_catalogue_is_documented():
    for name, entry in catalogue().items():
        assert f"`{name}`" in ADDING, name
        assert f"{download_bytes(entry, catalogue()) / 1e6:.2f}" in ADDING or entry.fields.package.startswith("pymicro")
    groups = loads(catalogue()["yamnet"].manifest)["groups"]
    assert f"{len(groups)} groups" in ADDING
    assert all(f"`{group}`" in ADDING for group in groups)
    assert f"sends nothing for {download.STALL_S:g} s" in ADDING
    assert f"within {staging.TRIAL_LIMIT_S:g} s" in ADDING
    assert f"{MAX_MODEL_BYTES // 1_000_000} MB at most" in ADDING


# for a short training: what is said beside what the page says
SHORTER = ["--clip-s", "1", "--n-mels", "16", "--clips", "256"]
OWN = TEXT.partition("\n## Train one from recordings\n")[2]
OWN_COMMANDS = [
    shlex.split(command.replace("\\\n", " "))
    for command in re.findall(r"^    ((?:python -m|edgeaudio) (?:.*\\\n)*.*)$", OWN, re.MULTILINE)
]


def test_every_command_of_the_page_is_run():
    indented = re.findall(r"^    (?:python|edgeaudio|pip) \S.*$", TEXT, re.MULTILINE)
    about_any_model = [line for line in indented if line.split()[-1] in ("DIR", "RECORDING")]
    assert len(indented) == len(COMMANDS) + len(ADD_COMMANDS) + len(OWN_COMMANDS) + len(about_any_model)


@pytest.mark.filterwarnings("default")
@pytest.mark.integration  # starts programs
@pytest.mark.timeout(400)  # TensorFlow traces three networks
def test_from_recordings_to_a_model_that_runs(tmp_path, monkeypatch, capfd):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed: the extra `train` brings it")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from tools import convert_model, train_model  # noqa: PLC0415 - TensorFlow

    monkeypatch.setattr("tools.training.training_run.EPOCH_STEPS", 8)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(2)
    write_tones(Path("recordings"), 16_000, rng, "{fold}-{index}-A.wav")
    shutil.copytree("recordings/high", "recordings/dog")
    write_tones(Path("other-sound"), 16_000, rng, "{fold}-{index}-B.wav")
    shutil.copytree("other-sound", "backgrounds")  # two kinds
    doors = {"train_model": train_model, "convert_model": convert_model, "evaluate_model": evaluate_model}
    for command in OWN_COMMANDS:
        if command[0] == "edgeaudio":
            arguments = [word.replace("dog/1.wav", "dog/1-0-A.wav") for word in command[1:]]
            assert cli.main(arguments) == 0, capfd.readouterr()
            continue
        name, arguments = command[2].removeprefix("tools."), command[3:]
        if name == "train_model":
            arguments += SHORTER
        elif name == "convert_model":
            arguments += ["--max-difference", "1", "--max-mean-difference", "1"]  # hardly trained
        assert doors[name].main(arguments) == 0, capfd.readouterr().err
    card = Path("models/mine/README.md").read_text()
    assert "## Events" in card
    assert "| **mean of the labels** | 10 dB |" in card
