"""What `edgeaudio model init` makes of tensor shapes: axes, lengths, features and presets."""

from pathlib import Path

import numpy as np
import pytest
from support.goldens import config_of

from edgeaudio.commands.model import draft
from edgeaudio.commands.model.frames import PRESETS, guess_features
from edgeaudio.commands.model.init_options import InitOptions, Work
from edgeaudio.commands.model.shape import closed
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest_file import parse_manifest
from edgeaudio.recognise.tflite_file import Tensor
from edgeaudio.recognise.tflite_metadata import TensorMetadata

GOLDEN = Path(__file__).parents[1] / "recognise" / "golden"


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
