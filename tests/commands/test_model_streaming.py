"""`edgeaudio model init`, `inspect`, `verify`, `score` and `check` with models that remember what they heard."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from support.tflite import content_of
from support.wave_files import write_wave

from edgeaudio import cli

RULE = {"probability_cutoff": 0.85, "sliding_window_size": 4, "feature_step_size": 10}
DESCRIBED = {"type": "micro", "wake_word": "Hey You", "author": "Somebody", "version": 2, "micro": RULE}
REMEMBERS = "input.stateful = true: it writes to variables that it reads in the next run"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("hey_you.tflite").write_bytes(content_of("wake_word"))


def described(**changes):
    Path("hey_you.json").write_text(json.dumps(DESCRIBED | changes))


def init(run, *arguments, file="hey_you.tflite"):
    """Return the manifest's table and the guesses, or None and the line of the refusal."""
    status, out, err = run("init", file, "--out", "m", *arguments)
    if status == 2:
        assert (out, len(err)) == ([], 1)
        return None, err[0].removeprefix("edgeaudio: ")
    assert (status, err) == (0, [])
    return tomllib.loads(Path("m/model.toml").read_text()), [line.strip() for line in out if line.startswith("  ")]


def test_the_json_beside_a_wake_word_is_read(run):
    described()
    table, guesses = init(run)
    assert table["labels"] == ["Hey You"]
    assert table["description"] == "Wake word of Somebody"
    assert table["detector"] == {"on": 0.85, "off": 0.51, "mean_of": 4, "refractory_s": 1.0}
    assert table["clip"] == {"sample_rate": 16000, "n_samples": 24000}
    assert table["input"] == {
        "kind": "micro_frontend", "axes": ["batch", "time", "feature"], "scale": 0.0390625, "stateful": True, "step": 3,
    }  # fmt: skip
    assert table["features"] == {
        "n_fft": 512, "win_length": 480, "win_align": "start", "hop_length": 160, "n_mels": 40, "fmin": 125.0,
        "fmax": 7500.0,
    }  # fmt: skip
    assert guesses[:2] == [REMEMBERS, "labels, detector: of hey_you.json"]


def test_a_wake_word_without_its_json_is_guessed(run):
    table, guesses = init(run)
    assert (table["labels"], table["detector"]["on"], table["detector"]["mean_of"]) == (["hey you"], 0.9, 5)
    assert guesses[0] == REMEMBERS
    assert [guess.partition(" ")[0] for guess in guesses[1:6]] == [
        "features:", "labels", "detector.on", "detector.mean_of", "clip.n_samples",
    ]  # fmt: skip


def test_options_come_before_the_json(run):
    described()
    Path("l.txt").write_text("go\n")
    table, _ = init(run, "--labels", "l.txt", "--set", "detector.on=0.7", "--set", "detector.off=0.4", "--clip-s", "2")
    assert (table["labels"], table["detector"]["on"], table["detector"]["off"]) == (["go"], 0.7, 0.4)
    assert table["clip"]["n_samples"] == 32_000


@pytest.mark.parametrize(("version", "rule", "hop"), [(1, {}, 320), (2, {}, 160), (2, {"feature_step_size": 20}, 320)])
def test_the_step_of_the_frames_is_the_json_s(run, version, rule, hop):
    described(version=version, micro={key: RULE[key] for key in RULE if key != "feature_step_size"} | rule)
    assert init(run)[0]["features"]["hop_length"] == hop


@pytest.mark.parametrize("content", ["[]", "{", '{"type": "other"}', "[" * 20_000])
def test_a_json_of_something_else_is_not_read(run, content):
    Path("hey_you.json").write_text(content)
    assert init(run)[0]["labels"] == ["hey you"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"micro": 3}, 'is no JSON of microWakeWord: "wake_word" is text, and "micro" a table'),
        ({"wake_word": "a\nb"}, 'is no JSON of microWakeWord: "wake_word" is text, and "micro" a table'),
        ({"micro": RULE | {"probability_cutoff": 85}}, "micro.probability_cutoff: 85 is not a number from 0.001 to 1"),
        (
            {"micro": RULE | {"sliding_window_size": 1.5}},
            "micro.sliding_window_size: 1.5 is not a whole number from 1 to 100",
        ),
        (
            {"micro": RULE | {"feature_step_size": True}},
            "micro.feature_step_size: True is not a whole number from 1 to 30",
        ),
        ({"micro": {}}, "micro.probability_cutoff: None is not a number from 0.001 to 1"),
    ],
)
def test_a_damaged_json_is_refused(run, changes, problem):
    described(**changes)
    assert init(run) == (None, f"hey_you.json: {problem}")


def test_other_models_that_remember(run):
    Path("m.tflite").write_bytes(content_of("refused_written_variable"))
    Path("l.txt").write_text("a\nb\nc\n")
    arguments = ("--kind", "waveform", "--labels", "l.txt", "--sample-rate", "1200")
    table, _ = init(run, *arguments, file="m.tflite")
    assert table["input"] == {"kind": "waveform", "stateful": True, "step": 120}
    assert table["clip"] == {"sample_rate": 1200, "n_samples": 1800}


def test_features_of_another_kind_are_the_users_to_say(run):
    given = {"n_fft": 512, "hop_length": 160}
    settings = [word for key, value in given.items() for word in ("--set", f"features.{key}={value}")]
    Path("l.txt").write_text("a\n")
    table, _ = init(run, "--kind", "log_mel", "--labels", "l.txt", *settings)
    assert table["features"] == given | {"n_mels": 40}
    assert table["input"]["step"] == 3


@pytest.mark.parametrize(
    ("model", "arguments", "problem"),
    [
        (
            "waveform",
            ("--preset", "microwakeword"),
            "--preset microwakeword: m.tflite keeps nothing from one run to the next",
        ),
        (
            "waveform_open_length",
            ("--kind", "waveform", "--set", "input.stateful=true", "--labels", "l.txt"),
            (
                "m.tflite: its input is [-1], of any length: say how many frames (or samples) it is given at a time "
                "with --set input.step=N"
            ),
        ),
    ],
)
def test_what_cannot_be_described(run, model, arguments, problem):
    Path("m.tflite").write_bytes(content_of(model))
    Path("l.txt").write_text("a\nb\nc\n")
    assert init(run, *arguments, file="m.tflite") == (None, problem)


def test_a_damaged_file_is_refused(run, monkeypatch):
    monkeypatch.setattr("edgeaudio.recognise.flatbuffer.MAX_TABLES", 3)
    _, problem = init(run)
    assert problem == "hey_you.tflite: is damaged: there are more than 3 tables"


def test_inspect_and_verify(run):
    described()
    init(run)
    out = [" ".join(line.split()) for line in run("inspect", "m")[1]]
    assert "clip 24000 samples at 16000 Hz, one each 30 ms" in out
    assert "state kept from step to step, of 3 frames each, for each source by itself" in out
    status, out, err = run("verify", "m")
    assert (status, err) == (0, [])
    assert "ms a step of 30 ms (median of 20, features of 147 frames at once); this takes" in " ".join(
        " ".join(out).split()
    )


def test_check_times_a_step(run, capfd):
    described()
    init(run)
    Path("s.toml").write_text('device = "d"\n[models.hey]\npath = "m"\n')
    cli.main(["check", "--offline", "--config", "s.toml"])
    assert "hey 1, 1 label, steps of 0.03 s, " in " ".join(capfd.readouterr().out.split())


def test_scores_are_dated_at_the_end_of_their_step(run, capfd):
    described()
    init(run)
    noise = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    write_wave(Path("n.wav"), noise, 16000)
    assert cli.main(["score", "--model", "m", "n.wav"]) == 0
    rows = capfd.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows[:3]] == ["00:00.05", "00:00.08", "00:00.11"]
    assert len(rows) == (8000 - 800) // 480 + 1
