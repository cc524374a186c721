"""`edgeaudio model init`: somebody else's file becomes a model directory, and every refusal is one line."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from support.tflite import LABELS, loaded_model, model_file

from edgeaudio import cli
from edgeaudio.recognise import model as model_module

THREE = '--set=labels=["first", "second", "third"]'
SHORT = ("--kind", "waveform", "--sample-rate", "1200", THREE)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def init(run, name, *arguments, **packed):
    status, out, err = run("init", model_file(name, **packed), *arguments)
    assert (status, err) == (0, []), err
    directory = Path(out[0].partition(": written")[0])
    return directory, tomllib.loads((directory / "model.toml").read_text()), out


def test_a_waveform_model_with_its_labels_packed(run):
    readme = "the labels\nare in the other file\nof this archive\nsee there\n"
    packed = {"labels.txt": "first\nsecond\nthird\n", "README.md": readme}
    directory, table, out = init(run, "waveform", "--kind", "waveform", "--sample-rate", 1200, **packed)
    assert directory == Path("some-model")
    assert table["labels"] == list(LABELS)
    assert table["clip"] == {"sample_rate": 1200, "n_samples": 120, "period_ms": 50}
    assert table["input"] == {"kind": "waveform"}
    assert out[0] == "some-model: written; waveform, 0.1 s at 1200 Hz, 3 labels (first, second, third)"
    assert not any("mend" in line for line in out)  # nothing was guessed
    scores = loaded_model(directory).scores(np.full(120, 0.5, np.float32))
    np.testing.assert_allclose(scores, 0.5)


def test_what_was_guessed_is_said(run):
    _, table, out = init(run, "features_time_major", THREE)
    assert table["input"] == {"kind": "mfcc", "axes": ["batch", "time", "feature", "channel"]}
    assert table["clip"] == {"sample_rate": 16000, "n_samples": 3680, "period_ms": 115}
    assert table["output"] == {"activation": "softmax"}
    assert out[2:-4] == [
        "Guessed, for the file does not tell: check these, mend some-model/model.toml where they are wrong:",
        '  input.kind = "mfcc": its input is [1, 24, 3, 1]; else say --kind',
        "  clip.sample_rate = 16000: the most usual; else say --sample-rate",
        '  features: as librosa computes them; else say --preset, as in "--preset tf-signal"',
        (
            "  input.axes = ['batch', 'time', 'feature', 'channel']: 24 frames of 3; if it is the other way round, "
            "say --set features.n_mels=24 (or n_mfcc)"
        ),
        "  features.n_mels = 40: the tensor does not tell",
        (
            "  features: n_fft = 512, win_length = 400, hop_length = 160: usual sizes that make 24 frames; "
            "else say --set features.n_fft=N and so on"
        ),
        "  clip.n_samples = 3680: 0.23 s; else say --clip-s",
        '  output.activation = "softmax": its outputs leave 0 to 1; if labels go together, say sigmoid',
    ]


def test_what_is_said_is_not_guessed(run):
    said = (
        *(
            "--name",
            "mine",
            "--kind",
            "log_mel",
            "--preset",
            "tf-signal",
            "--sample-rate",
            8000,
            "--clip-s",
            0.1,
            THREE,
        ),
        *("--set", "features.n_fft=64", "--set", "features.win_length=64", "--set", "features.hop_length=32"),
        *("--set", "output.activation=sigmoid", "--set", "features.n_mels=3", "--set", "license=MIT"),
    )
    directory, table, out = init(run, "features_mel_major", "--out", "there", *said)
    assert directory == Path("there")
    assert (table["name"], table["license"]) == ("mine", "MIT")
    assert table["input"]["axes"] == ["batch", "channel", "feature", "time"]
    assert table["features"]["mel_slopes"] == "mel"
    assert not any("mend" in line for line in out)


def test_features_in_one_row(run):
    _, table, _ = init(run, "features_flat", "--kind", "log_mel", "--set", "features.n_mels=3", THREE)
    assert table["input"]["axes"] == ["batch", "time", "feature"]
    assert table["features"]["n_mels"] == 3


def test_an_open_batch_is_one(run):
    """As MLPerf Tiny's keyword model has it."""
    _, table, out = init(run, "features_open_batch", THREE)
    assert table["input"]["axes"] == ["batch", "time", "feature", "channel"]
    assert any("24 frames of 3;" in line for line in out)
    row = ("--kind", "log_mel", "--set", "features.n_mels=3", "--out", "row")
    _, table, _ = init(run, "features_flat_open_batch", THREE, *row)
    assert table["input"]["axes"] == ["batch", "time", "feature"]
    _, table, _ = init(run, "waveform_open_batch", *SHORT, "--out", "wave")
    assert table["clip"]["n_samples"] == 120
    assert run("verify", "wave")[0] == 0


def test_frames_that_are_open_take_the_clip_that_is_said(run):
    directory, table, out = init(run, "features_open_frames", THREE, "--set", "output.activation=sigmoid")
    assert table["input"]["axes"] == ["batch", "time", "feature"]
    assert "  input.axes = ['batch', 'time', 'feature']: any number of frames of 3" in out
    assert run("verify", directory)[0] == 0


def test_a_second_is_the_first_guess(run):
    """24 frames are a second of 64 ms windows each 32 ms only if those are said; else a shorter clip of usual ones."""
    sizes = ("--set", "features.win_length=640", "--set", "features.hop_length=640")
    _, table, _ = init(run, "features_time_major", THREE, "--set", "features.center=false", *sizes)
    assert table["clip"]["n_samples"] == 16000


def test_a_model_of_any_length(run):
    _, table, out = init(run, "waveform_open_length", THREE, "--sample-rate", 1200)
    assert table["clip"] == {"sample_rate": 1200, "n_samples": 1200}
    assert "  clip.n_samples = 1200: a second; the model takes any length; else say --clip-s" in out
    assert table["input"] == {"kind": "waveform", "axes": ["time"]}


def test_a_model_of_any_length_that_is_said(run):
    _, table, _ = init(run, "waveform_lone_one", THREE, "--sample-rate", 1200, "--clip-s", 0.2)
    assert table["clip"]["n_samples"] == 240


def test_yamnet_by_its_name(run):
    _, table, out = init(run, "waveform_open_length", THREE, "--preset", "yamnet", "--set", "output.activation=none")
    assert table["clip"] == {"sample_rate": 16000, "n_samples": 15600}
    assert [line for line in out if line.startswith("  ")][:-2] == [
        '  input.kind = "waveform": its input is [-1]; else say --kind'
    ]


def test_integers_without_a_scale(run):
    _, table, out = init(run, "waveform_raw_int16", *SHORT)
    assert table["input"]["scale"] == 32768.0
    assert "  input.scale = 32768.0: the tensor is int16 without a quantisation" in out


def test_the_output_that_fits_the_labels(run):
    _, table, out = init(run, "waveform_two_outputs", *SHORT[:-1], '--set=labels=["a", "b"]')
    assert table["output"] == {"index": 1}
    assert "  output.index = 1: the one of 2 outputs that gives 2 scores with labels" in out
    _, table, _ = init(run, "waveform_two_outputs", *SHORT, "--set", "output.index=0", "--out", "other")
    assert table.get("output", {}).get("index", 0) == 0


def test_one_of_several_inputs(run):
    _, _, out = init(run, "waveform_two_inputs", *SHORT)
    assert "  input.index = 0: the first of 2 (0: x [1, 120], 1: y [1, 3]); the others stay at 0" in out


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("waveform", (), ("<M>: its input is [1, 120], a short waveform or features in one row: say --kind, and for "
         "features also --set features.n_mels=N (or n_mfcc, n_bins)")),
        ("waveform", SHORT[:-1], "<M>: has no labels packed in it; give 3 with --labels FILE, one a line"),
        ("waveform", (*SHORT[:-1], "--labels", "none.txt"), "none.txt: cannot be read: No such file or directory"),
        ("waveform", (*SHORT[:-1], "--labels", "blank.txt"), "blank.txt: holds no labels; write one a line"),
        ("waveform", (*SHORT[:-1], "--labels", "two.txt"), "<M>: gives 3 scores, and model.toml names 2 labels"),
        ("waveform", (*SHORT, "--preset", "matlab"),
         ("--preset matlab: there are librosa, torchaudio, tf-signal, yamnet, kaldi, psf, tf-tutorial, "
          "teachable-machine, edge-impulse-mfe, edge-impulse-mfcc, microwakeword")),
        ("features_time_major", (THREE, "--preset", "tf-tutorial", "--kind", "log_mel"),
         "--preset tf-tutorial: is about features of kind spectrogram, and this is log_mel"),
        ("waveform", (*SHORT, "--preset", "kaldi"),
         "--preset kaldi: is about features, and the model's input is a waveform"),
        ("waveform", (*SHORT, "--clip-s", "1"), "--clip-s 1: the input takes 120 samples, 0.1 s at 1200 Hz"),
        ("waveform", (*SHORT, "--name", "My Model"),
         "model.toml: name: 'My Model' is not made of a-z, 0-9 and single hyphens"),
        ("waveform", (*SHORT, "--set", "colour=red"), "model.toml: colour: unknown key"),
        ("waveform", (*SHORT, "--set", "n_fft"), "--set n_fft: is not KEY=VALUE, as in --set features.n_fft=512"),
        ("waveform", (*SHORT, "--set", "name.x=1"), "model.toml: name: {'x': 1} is not text"),
        ("waveform", (*SHORT, "--set", "name=x", "--set", "name.y=1"), "--set name.y=1: name has a value already"),
        ("waveform", (*SHORT, "--set", "clip=3"), "--set clip=3: is a section; say --set clip.KEY=VALUE"),
        ("waveform", (*SHORT, "--set", "input.axes=time"),
         '--set input.axes=time: is not a list, as in ["batch", "time"]'),
        ("waveform", (*SHORT, "--set", "description=\udcff"), r"--set description=\udcff: is not UTF-8"),
        ("waveform", (*SHORT[:-1], "--set", "labels=dog"), "--set labels=dog: is not a list; say --labels FILE"),
        ("waveform", (*SHORT, "--set", "clip.n_samples=0"), "--set clip.n_samples=0: is not a whole number above 0"),
        ("waveform", (*SHORT, "--set", "input.index=1"), "<M>: has 1 inputs; input.index cannot be 1"),
        ("waveform", (*SHORT, "--set", "output.index=x"), "<M>: has 1 outputs; output.index cannot be x"),
        ("waveform", ("--kind", "log_mel", THREE),
         ("<M>: its input is [1, 120], which is no picture of frames and features; say how many features a frame has "
         "with --set features.n_mels=N (or n_mfcc, n_bins)")),
        ("features_time_major", (THREE, "--clip-s", "30"),
         ("<M>: no usual window makes 24 frames of 30 s; say which with --set features.n_fft=N --set "
         "features.win_length=N --set features.hop_length=N")),
        ("features_time_major", (THREE, "--set", "input.kind=mel"),
         'model.toml: input.kind: \'mel\' is none of "waveform", "spectrogram", "log_mel", "mfcc", "micro_frontend"'),
        ("features_time_major", (THREE, "--kind", "waveform"),
         "<M>: its input is [1, 24, 3, 1], which is no waveform; say another --kind"),
        ("waveform", (*SHORT, "--set", "features.n_fft=64"),
         'model.toml: features: is there, but input.kind is "waveform": remove one'),
        ("waveform_nan", SHORT,
         "<M>: gives numbers that are not finite for plain noise; its input is wrong, or it is broken"),
        ("refused_int32_input", SHORT, "<M>: its input tensor is int32; float32, int8, uint8 and int16 are possible"),
    ],
)  # fmt: skip
def test_what_init_refuses(run, name, arguments, problem):
    Path("blank.txt").write_text(" \n\n")
    Path("two.txt").write_text("a\nb\n")
    file = model_file(name, "m.tflite")
    status, out, err = run("init", file, *arguments)
    assert (status, out) == (2, [])
    assert err == ["edgeaudio: " + problem.replace("<M>", "m.tflite")]
    assert not Path("m").exists()


def test_labels_packed_in_the_wrong_number(run):
    status, _, err = run("init", model_file("waveform", **{"labels.txt": "a\nb\n"}), *SHORT[:-1])
    assert (status, err) == (2, [
        ("edgeaudio: some model.tflite: has no labels packed in it, but labels.txt with 2 lines; give 3 with --labels "
        "FILE, one a line")
    ])  # fmt: skip


@pytest.mark.parametrize("verb", ["init", "inspect"])
def test_files_that_are_no_models(run, verb):
    Path("m.tflite").write_bytes(b"hello, world")
    status, _, err = run(verb, "m.tflite")
    assert (status, err) == (2, ["edgeaudio: m.tflite: is not a TFLite model (its identifier is not TFL3)"])


def test_a_file_that_is_not_there(run):
    status, _, err = run("init", "none.tflite")
    assert (status, err) == (2, ["edgeaudio: none.tflite: cannot be read: No such file or directory"])


def test_a_file_that_is_too_large(run, monkeypatch):
    monkeypatch.setattr(model_module, "MAX_MODEL_BYTES", 1_000)
    status, _, err = run("init", model_file("waveform"))
    assert (status, err) == (2, ["edgeaudio: some model.tflite: is larger than 0 MB"])


def test_a_directory_that_is_there(run):
    Path("taken").mkdir()
    Path("taken/file").touch()
    status, _, err = run("init", model_file("waveform"), *SHORT, "--out", "taken")
    assert (status, err) == (2, ["edgeaudio: taken: is there already, and not empty; say another with --out DIR"])


def test_a_directory_that_cannot_be(run):
    Path("file").touch()
    status, _, err = run("init", model_file("waveform"), *SHORT, "--out", "file/inside")
    assert (status, err) == (2, ["edgeaudio: file/inside: cannot be written: Not a directory"])


@pytest.mark.parametrize("arguments", [("--sample-rate", "900"), ("--clip-s", "0"), ("--kind", "mel")])
def test_options_out_of_bounds(capsys, arguments):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["model", "init", "m.tflite", *arguments])
    assert f"argument {arguments[0]}: " in capsys.readouterr().err
