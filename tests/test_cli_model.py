"""`edgeaudio model`: somebody else's file becomes a model directory, and every refusal is one line."""

import tomllib
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.goldens import config_of
from support.tflite import LABELS, WAVEFORM, content_of, model_directory

from edgeaudio import cli
from edgeaudio.commands.model import draft
from edgeaudio.commands.model.frames import PRESETS, guess_features
from edgeaudio.commands.model.init_options import InitOptions, Work
from edgeaudio.commands.model.shape import closed
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise import model as model_module
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import parse_manifest
from edgeaudio.recognise.model import Model, load_model
from edgeaudio.recognise.tflite_file import Tensor
from edgeaudio.recognise.tflite_metadata import TensorMetadata

GOLDEN = Path(__file__).parent / "recognise" / "golden"
THREE = '--set=labels=["first", "second", "third"]'
SHORT = ("--kind", "waveform", "--sample-rate", "1200", THREE)


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capfd):
    """Run a command; its status, and the lines on standard output and standard error."""

    def running(*arguments):
        status = cli.main(["model", *map(str, arguments)])
        out, err = capfd.readouterr()
        # the TFLite runtime greets on standard error, from C++
        return status, out.splitlines(), [line for line in err.splitlines() if not line.startswith("INFO: ")]

    return running


def model_file(name, file="some model.tflite", **packed):
    path = Path(file)
    path.write_bytes(content_of(name))
    if packed:
        with zipfile.ZipFile(path, "a") as archive:
            for member, text in packed.items():
                archive.writestr(member, text)
    return path


def init(run, name, *arguments, **packed):
    status, out, err = run("init", model_file(name, **packed), *arguments)
    assert (status, err) == (0, []), err
    directory = Path(out[0].partition(": written")[0])
    return directory, tomllib.loads((directory / "model.toml").read_text()), out


# init


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
    scores = load_model(directory).scores(np.full(120, 0.5, np.float32))
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
    ("shape", "said", "axes", "n_frames"),
    [
        ((1, 49, 10), {}, ["batch", "time", "feature"], 49),
        ((49, 10), {}, ["time", "feature"], 49),
        ((1, 49, 10, 1), {}, ["batch", "time", "feature", "channel"], 49),
        ((1, 1, 49, 10), {}, ["batch", "channel", "time", "feature"], 49),
        ((1, 13, 61, 1), {}, ["batch", "feature", "time", "channel"], 61),
        ((1, 13, 20), {}, ["batch", "time", "feature"], 13),
        ((1, 40, 98), {"n_mfcc": 40}, ["batch", "feature", "time"], 98),
        ((1, 40, -1), {}, ["batch", "feature", "time"], -1),
        ((1, -1, 40), {}, ["batch", "time", "feature"], -1),
        ((1, 40, 40), {"n_mfcc": 40}, ["batch", "time", "feature"], 40),
        ((1, 490), {"n_mfcc": 10}, ["batch", "time", "feature"], 49),
        ((-1, 490), {"n_mfcc": 10}, ["batch", "time", "feature"], 49),
        ((-1, 49, 10, 1), {}, ["batch", "time", "feature", "channel"], 49),
        ((-1, 49, 10, -1), {}, ["batch", "time", "feature", "channel"], 49),
        ((1, -1, 49, 10), {}, ["batch", "channel", "time", "feature"], 49),
        ((-1, -1, 40), {}, ["batch", "time", "feature"], -1),
        ((-1, 98, -1), {"n_mfcc": 40}, ["batch", "time", "feature"], 98),
    ],
)
def test_layouts_of_features(shape, said, axes, n_frames):
    table = {"input": {"kind": "mfcc"}, "features": dict(said), "clip": {"sample_rate": 16000}}
    fixed = {"name": "m", "version": "1", "sha256": "0" * 64}
    work = Work(Path("m.tflite"), InitOptions(preset="tf-signal"), {**fixed, **table})
    guess_features(work, closed(work, Tensor("x", shape, "float32", 0.0, 0)))
    assert work.table["input"]["axes"] == axes
    manifest = parse_manifest({**work.table, "labels": ["a"]}, Path("model.toml"))
    assert manifest.features is not None
    frames = manifest.features.n_frames(manifest.clip.n_samples)
    assert frames == n_frames or (n_frames == -1 and manifest.clip.n_samples == 16000)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((1, 124, 129), ["batch", "time", "feature"]),
        ((1, 129, 124), ["batch", "feature", "time"]),
        ((1, 129, 257), ["batch", "time", "feature"]),
        ((1, 100, 120), ["batch", "time", "feature"]),
    ],
)
def test_bins_are_those_of_an_fft(shape, axes):
    table = {"input": {"kind": "spectrogram"}, "clip": {"sample_rate": 16000}}
    fixed = {"name": "m", "version": "1", "sha256": "0" * 64}
    work = Work(Path("m.tflite"), InitOptions(), {**fixed, **table})
    guess_features(work, Tensor("x", shape, "float32", 0.0, 0))
    assert work.table["input"]["axes"] == axes


@pytest.mark.parametrize("kind", ["", "waveform"])
def test_channels_of_a_waveform_are_refused(kind):
    work = Work(Path("m.tflite"), InitOptions(kind=kind, sample_rate=16000), {})
    stereo = Tensor("x", (1, 16000, 2), "float32", 0.0, 0)
    assert draft._kind(work, stereo, TensorMetadata()) == "waveform"
    work.section("clip")["sample_rate"] = 16000
    with pytest.raises(EdgeaudioError) as caught:
        draft._waveform(work, stereo)
    told = "its input is [1, 16000, 2], 2 channels of a waveform; only models of one can be run"
    assert str(caught.value) == f"m.tflite: {told}"


def test_lone_lengths_of_a_waveform_are_channels():
    work = Work(Path("m.tflite"), InitOptions(), {"clip": {"sample_rate": 16000}, "input": {"kind": "waveform"}})
    draft._waveform(work, Tensor("x", (1, 16000, 1, 1), "float32", 0.0, 0))
    table = {**work.table, "name": "m", "version": "1", "sha256": "0" * 64, "labels": ["a"]}
    axes = parse_manifest(table, Path("model.toml")).input.axes
    assert axes == ("batch", "time", "channel", "channel")


@pytest.mark.parametrize(("dtype", "scale", "offset"), [("int8", 128, 0), ("int16", 32768, 0), ("uint8", 128, 128)])
def test_samples_for_tensors_of_whole_numbers_without_a_quantisation(dtype, scale, offset):
    work = Work(Path("m.tflite"), InitOptions(), {})
    draft._full_scale(work, dtype)
    section = work.section("input")
    assert (section["scale"], section.get("offset", 0)) == (scale, offset)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"features": {"n_mels": 50}}, "of which no length is features.n_mels = 50"),
        (
            {"input": {"kind": "log_mel", "axes": ["batch", "feature", "time"]}, "features": {"n_mels": 40}},
            "of which no length is features.n_mels = 40",
        ),
        (
            {"input": {"kind": "log_mel", "axes": ["batch", "time"]}},
            "and input.axes names 2 axes; name one for each",
        ),
    ],
)
def test_what_is_said_and_fits_no_length_is_refused(said, problem):
    fixed = {"name": "m", "version": "1", "sha256": "0" * 64, "clip": {"sample_rate": 16000}}
    work = Work(Path("m.tflite"), InitOptions(preset="librosa"), {**fixed, "input": {"kind": "log_mel"}, **said})
    with pytest.raises(EdgeaudioError) as caught:
        guess_features(work, Tensor("x", (1, 98, 40), "float32", 0.0, 0))
    assert str(caught.value) == f"m.tflite: its input is [1, 98, 40], {problem}"


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        (["batch", "feature", "time"], (-1, -1, -1), (1, 40, -1)),
        (["time", "feature"], (-1, 40), (-1, 40)),
        (["time", "feature", "channel"], (98, -1, -1), (98, 40, 1)),
    ],
)
def test_axes_that_are_said_decide_what_is_open(axes, shape, expected):
    table = {"input": {"kind": "log_mel", "axes": axes}, "features": {"n_mels": 40}, "clip": {"sample_rate": 16000}}
    fixed = {"name": "m", "version": "1", "sha256": "0" * 64}
    work = Work(Path("m.tflite"), InitOptions(preset="tf-signal"), {**fixed, **table})
    tensor = closed(work, Tensor("x", shape, "float32", 0.0, 0))
    assert tensor.shape == expected
    guess_features(work, tensor)
    assert work.table["input"]["axes"] == axes
    assert work.table["features"]["n_mels"] == 40


def test_open_lengths_are_asked_for_by_name():
    with pytest.raises(EdgeaudioError) as caught:
        closed(Work(Path("m.tflite"), InitOptions(), {}), Tensor("x", (-1, -1, -1), "float32", 0.0, 0))
    assert str(caught.value) == (
        "m.tflite: its input is [-1, -1, -1], with more than one open length: name its axes, as in --set "
        '\'input.axes=["batch", "time", "feature"]\', and say --set features.n_mels=N (or n_mfcc, n_bins)'
    )


@pytest.mark.parametrize(
    ("preset", "shape", "said", "expected"),
    [
        ("edge-impulse-mfe", (1, 3960), {}, {"n_mels": 40, "hop_length": 160, "win_length": 256, "n_fft": 256}),
        ("edge-impulse-mfcc", (1, 650), {}, {"n_mfcc": 13, "n_mels": 32, "hop_length": 320, "win_length": 256}),
        ("edge-impulse-mfe", (1, 1600), {"n_fft": 512, "n_mels": 32}, {"hop_length": 320, "win_length": 320}),
    ],
)
def test_edge_impulse_s_blocks(preset, shape, said, expected):
    """A second, in one row, as the studio exports it."""
    kind = {"edge-impulse-mfe": "log_mel", "edge-impulse-mfcc": "mfcc"}[preset]
    table = {"input": {"kind": kind}, "features": dict(said), "clip": {"sample_rate": 16000}}
    work = Work(
        Path("m.tflite"), InitOptions(preset=preset), {"name": "m", "version": "1", "sha256": "0" * 64, **table}
    )
    guess_features(work, Tensor("x", shape, "int8", 0.1, 0))
    features = work.table["features"]
    assert {key: features[key] for key in expected} == expected
    assert features["spectrum_scale"] == 1 / features["n_fft"]
    assert work.table["clip"]["n_samples"] == 16000


@pytest.mark.parametrize(("clip_s", "n_frames"), [(1.0, 99), (0.4, 39), (0.0, 99), (0.025, 1)])
def test_psf_fills_up_its_last_frame(clip_s, n_frames):
    """As psf.mfcc gives them: 99 frames of a second, not 98."""
    table = {"input": {"kind": "mfcc"}, "clip": {"sample_rate": 16000}, "name": "m", "version": "1", "sha256": "0" * 64}
    work = Work(Path("m.tflite"), InitOptions(preset="psf", clip_s=clip_s), table)
    guess_features(work, Tensor("x", (1, n_frames, 13) if n_frames > 1 else (1, -1, 13), "float32", 0.0, 0))
    manifest = parse_manifest({**work.table, "labels": ["a"]}, Path("model.toml"))
    assert manifest.features is not None
    assert manifest.features.n_frames(manifest.clip.n_samples) == n_frames
    assert manifest.clip.n_samples == round((clip_s or 1.0) * 16000)
    assert manifest.features.spectrum_scale == 1 / manifest.features.n_fft


@pytest.mark.parametrize(
    ("preset", "golden"),
    [
        ("librosa", "librosa:mfcc_defaults"),
        ("torchaudio", "torchaudio:mel_db"),
        ("tf-signal", "tf_signal:mfcc_keywords"),
        ("yamnet", "tf_signal:log_mel_yamnet"),
        ("kaldi", "kaldi:mfcc_no_energy"),
        ("psf", "psf:mfcc"),
        ("tf-tutorial", "tf_signal:spectrogram_tutorial"),
        ("teachable-machine", "librosa:spectrogram_analyser"),
        ("edge-impulse-mfe", "edge_impulse:mfe"),
        ("edge-impulse-mfcc", "edge_impulse:mfcc"),
    ],
)
def test_presets_say_what_the_golden_files_were_made_with(preset, golden):
    """But for sizes, and for what follows from them: psf's padding and 1/n_fft, the symmetry of odd windows."""
    library, case = golden.split(":")
    with np.load(GOLDEN / f"{library}.npz") as file:
        made_with = config_of(str(file[f"{case}.config"]))
    sizes = ("kind", "sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "n_bins", "n_mfcc", "fmin", "fmax")
    follows = ("pad_end", "spectrum_scale", "periodic")
    values = {name: getattr(made_with, name) for name in (*sizes, *follows)}
    values |= PRESETS[preset]
    values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    preset_config = FeatureConfig(**values)
    assert preset_config == made_with


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
          "teachable-machine, edge-impulse-mfe, edge-impulse-mfcc")),
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
         'model.toml: input.kind: \'mel\' is none of "waveform", "spectrogram", "log_mel", "mfcc"'),
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


# inspect and verify


def test_inspect_shows_everything(run, tmp_path):
    groups = {"any": LABELS}
    directory = model_directory(
        tmp_path, "features_time_major", groups=groups, description="Mels.", training_data=("x",)
    )
    status, out, err = run("inspect", directory)
    assert (status, err) == (0, [])
    text = "\n".join(out)
    for expected in (
        "name           test 1",
        "description    Mels.",
        "license        not stated",
        "training data  x",
        "clip           800 samples at 8000 Hz, one each 50 ms",
        "input          log_mel as (batch, time, feature, channel), times 0.01 plus 1",
        "features       24 frames of 3, window 8 ms, hop 4 ms",
        "               hop_length = 32",
        "labels         3: first, second, third",
        "group any      first, second, third",
        "input 0        x: int8 [1, 24, 3, 1], step 0.00784314, zero at -1",
        "output 0       Identity: int8 [1, 3], step 0.00784314, zero at -1",
    ):
        assert expected in out, text


def test_inspect_a_waveform_model(run, tmp_path):
    status, out, _ = run("inspect", model_directory(tmp_path, labels=LABELS))
    assert status == 0
    assert "input       waveform as (batch, time), times 1 plus 0" in out
    assert not any(line.startswith("features") for line in out)


def test_inspect_a_file(run):
    status, out, err = run("inspect", model_file("waveform", **{"labels.txt": "a\nb\n"}))
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out] == ["file", "sha256", "input", "output", "packed"]
    assert out[-1] == "packed    labels.txt, 2 lines: a, b"


def test_verify_what_works(run, tmp_path):
    status, out, err = run("verify", model_directory(tmp_path, "features_time_major"))
    assert (status, err) == (0, [])
    assert [line.split()[:2] for line in out] == [
        [what, "works"] for what in ("hash", "tensors", "labels", "scores", "time")
    ]
    assert "ms a clip of 0.1 s (median of 20); a clip each 50 ms takes" in out[-1]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("waveform_nan", "some are not finite: the model is broken, or its input is not what it was trained with"),
        ("waveform_logits", 'which are no scores: set output.activation to "sigmoid" or "softmax"'),
    ],
)
def test_verify_scores_that_are_none(run, tmp_path, name, problem):
    status, out, _ = run("verify", model_directory(tmp_path, name))
    assert status == 2
    assert out[3].startswith("scores   FAILS  ")
    assert out[3].endswith(problem)


def test_verify_refuses_a_model_that_cannot_be_reset(run, tmp_path):
    directory = model_directory(tmp_path, "refused_written_variable")
    status, out, err = run("verify", directory)
    assert (status, out) == (2, [])
    assert len(err) == 1
    assert err[0].startswith(f"edgeaudio: {directory / 'model.tflite'}: writes to variables that keep their values")


def test_verify_scores_that_change_by_themselves(run, tmp_path, monkeypatch):
    rng, outputs = np.random.default_rng(0), Model.outputs
    monkeypatch.setattr(Model, "outputs", lambda model, values: outputs(model, values) * rng.uniform(0.5, 1.0))
    status, out, _ = run("verify", model_directory(tmp_path))
    assert status == 2
    told = "the same clip gives others each time: convert the model for inference, without dropout or noise"
    assert out[3] == f"scores   FAILS  {told}"


def test_verify_says_what_of_the_sound_is_not_heard(run, tmp_path):
    _, out, _ = run("verify", model_directory(tmp_path, clip=replace(WAVEFORM, period_ms=400)))
    assert out[-1].endswith(" and leaves 75% of the sound between clips unheard")


def test_verify_another_file_than_the_manifest_s(run, tmp_path):
    directory = model_directory(tmp_path)
    (directory / "model.tflite").write_bytes(content_of("waveform_int8"))
    status, out, err = run("verify", directory)
    assert (status, out) == (2, [])
    assert err[0].startswith(f"edgeaudio: {directory / 'model.tflite'}: its SHA-256 is ")
