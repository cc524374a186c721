"""The manifest: every refusal word for word, what is written is read back, and hostile files are only refused."""

import dataclasses
import math
import re
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.feature_configs import feature_configs
from support.tflite import manifest_of

from edgeaudio.recognise import manifest_file
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.manifest import ClipSection, DetectorSection, InputSection, Manifest, OutputSection, Threshold
from edgeaudio.recognise.manifest_file import ManifestError, manifest_toml, parse_manifest, read_manifest

FILE = Path("model.toml")
DIGEST = "0" * 64


FRONT = {"kind": "waveform", "frontend": "f.tflite", "frontend_sha256": "0" * 64}


def table() -> dict[str, Any]:
    return {
        "name": "alarms",
        "version": "1.0",
        "labels": ["smoke alarm", "siren"],
        "sha256": DIGEST,
        "clip": {"sample_rate": 16000, "n_samples": 16000},
        "input": {"kind": "mfcc", "axes": ["batch", "time", "feature"]},
        "features": {"n_fft": 512, "hop_length": 160, "n_mels": 40},
    }


ABSENT = object()


def changed(key: str, value: Any) -> dict[str, Any]:
    """The table with the value of one dotted key changed, or removed."""
    whole = table()
    *path, last = key.split("/")
    inner = whole
    for name in path:
        inner = inner.setdefault(name, {})
    if value is ABSENT:
        del inner[last]
    else:
        inner[last] = value
    return whole


def test_what_is_left_out_has_its_default():
    manifest = parse_manifest(table(), FILE)
    assert manifest.clip.period_ms == 500
    assert manifest.output == OutputSection(index=0, activation="none", patches="mean")
    assert manifest.threshold("siren") == Threshold(0.5, 0.3)
    assert manifest.features == FeatureConfig("mfcc", 16000, 512, 160, 40)
    assert manifest.reported == ("smoke alarm", "siren")


def test_a_label_s_own_thresholds_come_first():
    manifest = parse_manifest(changed("thresholds/siren", {"on": 0.9, "off": 0}), FILE)
    assert manifest.threshold("siren") == Threshold(0.9, 0.0)
    assert manifest.threshold("smoke alarm") == Threshold(0.5, 0.3)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        # shape and types
        ("colour", "red", "colour: unknown key"),
        ("clip/rate", 8000, "clip.rate: unknown key"),
        ("thresholds/siren", {"on": 1, "of": 0}, "thresholds.siren.of: unknown key"),
        ("name", ABSENT, "name: is missing"),
        ("labels", ABSENT, "labels: is missing"),
        ("sha256", ABSENT, "sha256: is missing"),
        ("clip", ABSENT, "clip: is missing"),
        ("clip/n_samples", ABSENT, "clip.n_samples: is missing"),
        ("input", ABSENT, "input: is missing"),
        ("input/kind", ABSENT, "input.kind: is missing"),
        ("features/n_fft", ABSENT, "features.n_fft: is missing"),
        ("thresholds/siren", {"on": 1}, "thresholds.siren.off: is missing"),
        ("name", 3, "name: 3 is not text"),
        ("labels", "siren", "labels: 'siren' is not a list"),
        ("labels", ["a", 1], "labels[1]: 1 is not text"),
        ("clip", 3, "clip: 3 is not a table"),
        ("groups", [], "groups: [] is not a table"),
        ("groups", {"any": "siren"}, "groups.any: 'siren' is not a list"),
        ("features", 3, "features: 3 is not a table"),
        ("clip/n_samples", 1.5, "clip.n_samples: 1.5 is not a whole number"),
        ("clip/n_samples", True, "clip.n_samples: True is not a whole number"),
        ("input/scale", "1", "input.scale: '1' is not a number"),
        ("input/scale", math.nan, "input.scale: nan is not a finite number"),
        ("input/offset", -math.inf, "input.offset: -inf is not a finite number"),
        ("input/scale", 10**400, "input.scale: is too large a number"),
        ("features/center", 1, "features.center: 1 is not true or false"),
        ("description", ["x" * 100], "description: ['" + "x" * 55 + "... is not text"),
        (
            "input/kind",
            "mel",
            'input.kind: \'mel\' is none of "waveform", "spectrogram", "log_mel", "mfcc", "micro_frontend"',
        ),
        ("input/axes", ["batch", "t"], 'input.axes[1]: \'t\' is none of "batch", "time", "feature", "channel"'),
        ("output/activation", "relu", 'output.activation: \'relu\' is none of "none", "sigmoid", "softmax"'),
        ("output/patches", "sum", 'output.patches: \'sum\' is none of "mean", "max"'),
        ("features/power", 2.0, "features.power: 2.0 is none of 1, 2"),
        ("features/ref", "min", "features.ref: 'min' is not a number"),
        ("features/clip_min", "low", "features.clip_min: 'low' is not a number"),
        # names
        ("name", "Alarms", "name: 'Alarms' is not made of a-z, 0-9 and single hyphens"),
        ("name", "a--b", "name: 'a--b' is not made of a-z, 0-9 and single hyphens"),
        ("name", "", "name: '' is not made of a-z, 0-9 and single hyphens"),
        ("labels", [], "labels: there are 0; 1 to 10000 are possible"),
        ("labels", [str(i) for i in range(10_001)], "labels: there are 10001; 1 to 10000 are possible"),
        ("labels", ["a", "b", "a"], "labels: 'a' is there twice (groups count too)"),
        ("labels", ["a", " "], "labels: one is empty"),
        ("groups", {"siren": ["siren"]}, "labels: 'siren' is there twice (groups count too)"),
        ("groups", {"any": []}, "groups.any: is empty"),
        ("groups", {"any": ["siren", "dog"]}, "groups.any: 'dog' is not one of the labels"),
        (
            "sha256",
            "A" * 64,
            "sha256: is not 64 hexadecimal digits in lower case: `sha256sum model.tflite` prints them",
        ),
        # clip and input
        ("clip/sample_rate", 999, "clip.sample_rate: 999 is not from 1000 to 1000000 Hz"),
        ("clip/sample_rate", 1_000_001, "clip.sample_rate: 1000001 is not from 1000 to 1000000 Hz"),
        ("clip/n_samples", 0, "clip.n_samples: 0 is not from 1 sample to 120 s"),
        ("clip/n_samples", 1_920_001, "clip.n_samples: 1920001 is not from 1 sample to 120 s"),
        ("clip/n_samples", 511, "clip.n_samples: 511 is less than one frame (512)"),
        ("clip/period_ms", 9, "clip.period_ms: 9 is not from 10 to 60000"),
        ("clip/period_ms", 60_001, "clip.period_ms: 60001 is not from 10 to 60000"),
        ("input/axes", ["time", "time"], 'input.axes: an axis is there twice, and only "channel" may be'),
        (
            "input/axes",
            ["batch", "feature"],
            'input.axes: must hold "time", and "feature" if and only if input.kind is not "waveform"',
        ),
        (
            "input/axes",
            ["batch", "time"],
            'input.axes: must hold "time", and "feature" if and only if input.kind is not "waveform"',
        ),
        ("features", ABSENT, 'features: is missing, and input.kind is "mfcc"'),
        ("features/kind", "mfcc", "features.kind: belongs into [input]"),
        ("features/sample_rate", 16000, "features.sample_rate: belongs into [clip]"),
        ("input/kind", "waveform", 'features: is there, but input.kind is "waveform": remove one'),
        # detector
        ("detector/min_duration_s", -1, "detector.min_duration_s: is not from 0 to 86400"),
        ("detector/hold_s", 90_000, "detector.hold_s: is not from 0 to 86400"),
        ("detector/cooldown_s", -0.1, "detector.cooldown_s: is not from 0 to 86400"),
        ("detector/refractory_s", -0.1, "detector.refractory_s: is not from 0 to 86400"),
        (
            "detector",
            {"refractory_s": 1.0, "hold_s": 0.5},
            "detector.refractory_s: is for moments, such as words: remove min_duration_s, hold_s and cooldown_s",
        ),
        ("detector/mean_of", 0, "detector.mean_of: is not from 1 to 100"),
        ("detector/votes", 2, "detector.votes: must be from 1 to votes_of, and votes_of at most 100"),
        ("detector/votes_of", 101, "detector.votes: must be from 1 to votes_of, and votes_of at most 100"),
        ("detector/on", 0.2, "detector: on 0.2 and off 0.3: must be 0 <= off <= on <= 1"),
        (
            "thresholds/siren",
            {"on": 1.5, "off": 0.5},
            "thresholds.siren: on 1.5 and off 0.5: must be 0 <= off <= on <= 1",
        ),
        ("thresholds/dog", {"on": 1, "off": 0}, "thresholds.dog: is not one of the labels or groups"),
        # what Home Assistant shows
        ("announce", ["siren", "dog"], "announce: 'dog' is not one of the labels or groups"),
        ("entities/dog", {}, "entities.dog: is not one of the labels or groups"),
        ("entities/siren", {"name": "a\nb"}, "entities.siren.name: is not up to 64 characters that can be printed"),
        ("entities/siren", {"name": "a" * 65}, "entities.siren.name: is not up to 64 characters that can be printed"),
        (
            "entities/siren",
            {"device_class": "dog"},
            "entities.siren.device_class: 'dog' is none of a binary sensor in Home Assistant",
        ),
        ("entities/siren", {"icon": "dog"}, "entities.siren.icon: 'dog' is not like \"mdi:dog\""),
        (
            "input/frontend_hop",
            160,
            ("input.frontend: is missing, and is what frontend_sha256, frontend_scale and frontend_hop go with"),
        ),
        # output
        ("output", {"half_error": 1.0}, 'output.half_error: goes with output.kind "reconstruction_error"'),
        (
            "output",
            {"kind": "reconstruction_error"},
            "output.half_error: must be above 0: the mean squared error that scores 0.5",
        ),
        (
            "output",
            {"kind": "reconstruction_error", "half_error": 1.0, "activation": "sigmoid"},
            "output.activation: is for scores, and output.kind makes one of an error",
        ),
        (
            "output",
            {"kind": "reconstruction_error", "half_error": 1.0},
            'labels: there are 2; output.kind "reconstruction_error" gives one score',
        ),
        # features
        ("features/n_fft", 0, "features: n_fft must be above 0"),
        ("features/hop_length", -1, "features: hop_length must be above 0"),
        ("features/n_mels", 0, "features: n_mels must be above 0"),
        ("features/sample_scale", 0, "features: sample_scale must be above 0"),
        ("features/spectrum_scale", 0.0, "features: spectrum_scale must be above 0"),
        ("features/n_fft", 32_769, "features: n_fft must be at most 32768"),
        ("features/n_mels", 513, "features: n_mels must be at most 512"),
        ("features/win_length", 513, "features: win_length must be at most n_fft (512)"),
        ("features/pad_end", 512, "features: pad_end must be less than one frame (512)"),
        (
            "features",
            {**table()["features"], "pad_end": 1, "center": True},
            "features: pad_end goes with center = false",
        ),
        ("features/fmin", 8000, "features: fmin must be from 0 to below fmax"),
        ("features/fmax", 8001, "features: fmax must be at most half the sample rate (8000)"),
        ("features/preemphasis", 1, "features: preemphasis must be from 0 to below 1"),
        ("features/log_floor", -1, "features: log_floor and log_offset must not be negative"),
        (
            "features/log_floor",
            0,
            "features: log_floor or log_offset must be above 0: the logarithm of 0 is not a number",
        ),
        ("features/ref", 0, 'features: ref must be above 0, or "max"'),
        ("features/top_db", -80, "features: top_db must not be negative"),
        ("features", {**table()["features"], "log": "none", "top_db": 80}, "features: ref and top_db need a logarithm"),
        ("features/n_mfcc", 41, "features: n_mfcc must be from 1 to n_mels"),
        (
            "features",
            {**table()["features"], "dct_norm": "htk", "dct_type": 3},
            'features: dct_norm "htk" goes with dct_type 2',
        ),
        (
            "features",
            {**table()["features"], "n_mels": 1, "n_mfcc": 1, "dct_type": 1},
            "features: dct_type 1 needs at least 2 mels",
        ),
        ("features/n_mels", ABSENT, "features: n_mels must be above 0"),
        ("features/cmvn_window", 2, "features: cmvn_window must be 0, or an odd number up to 999"),
        ("features/cmvn_window", -1, "features: cmvn_window must be 0, or an odd number up to 999"),
        ("features/n_bins", 9, 'features: first_bin and n_bins go with kind "spectrogram"'),
        ("features/lifter", -1, "features: lifter must not be negative"),
        ("features/mean", [0, 0], "features: mean must hold 1 or 13 numbers"),
        ("features/std", [1, 1], "features: std must hold 1 or 13 numbers"),
        ("features/std", [0], "features: std must be above 0"),
        (
            "features",
            {**table()["features"], "clip_min": 1, "clip_max": 0},
            "features: clip_min must be at most clip_max",
        ),
    ],
)
def test_every_refusal(key, value, problem):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(key, value), FILE)
    assert str(caught.value) == f"model.toml: {problem}"
    assert f"{caught.value.key}: {caught.value.problem}" == problem


def test_the_energy_needs_coefficients():
    whole = changed("features/c0", "sample_energy")
    whole["input"]["kind"] = "log_mel"
    with pytest.raises(ManifestError, match=r"^model.toml: features: c0 goes with kind \"mfcc\"$"):
        parse_manifest(whole, FILE)


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ({"n_mels": 40}, "n_mels, fmin and fmax do not go with a spectrogram: say first_bin and n_bins"),
        ({"fmin": 20.0}, "n_mels, fmin and fmax do not go with a spectrogram: say first_bin and n_bins"),
        ({"first_bin": 257}, "first_bin and n_bins must lie within the bins 0 to 256 of n_fft (512)"),
        ({"first_bin": -1}, "first_bin and n_bins must lie within the bins 0 to 256 of n_fft (512)"),
        ({"first_bin": 2, "n_bins": 256}, "first_bin and n_bins must lie within the bins 0 to 256 of n_fft (512)"),
    ],
)
def test_a_spectrogram_has_bins(features, problem):
    whole = changed("input/kind", "spectrogram")
    sizes = {"n_fft": 512, "hop_length": 160}
    manifest = parse_manifest(whole | {"features": {**sizes, "first_bin": 2}}, FILE)
    assert manifest.features is not None
    assert (manifest.features.n_features, manifest.features.row_width) == (255, 255)
    with pytest.raises(ManifestError) as caught:
        parse_manifest(whole | {"features": {**sizes, **features}}, FILE)
    assert str(caught.value) == f"model.toml: features: {problem}"


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        ({"kind": "mfcc"}, 'frontend: goes with input.kind "waveform": it makes the features'),
        ({"frontend": "../f.tflite"},
         "frontend: '../f.tflite' is not the name of another .tflite file in the model's directory"),
        ({"frontend": "model.tflite"},
         "frontend: 'model.tflite' is not the name of another .tflite file in the model's directory"),
        ({"frontend_sha256": "0"},
         "frontend_sha256: is not 64 hexadecimal digits in lower case: `sha256sum f.tflite` prints them"),
        ({"frontend_hop": -1}, "frontend_hop: must not be negative"),
    ],
)  # fmt: skip
def test_a_front_end_is_named_and_proved(section, problem):
    whole = changed("input", {**FRONT, **section})
    if "kind" not in section:
        del whole["features"]
    else:
        whole["input"]["axes"] = ["time", "feature"]
    with pytest.raises(ManifestError) as caught:
        parse_manifest(whole, FILE)
    assert str(caught.value) == f"model.toml: input.{problem}"


def test_a_waveform_needs_no_features():
    whole = changed("input", {"kind": "waveform"})
    del whole["features"]
    assert parse_manifest(whole, FILE).features is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"name = ", "is not TOML: Invalid value (at its end)"),
        (b"name = '\xff'", "is not UTF-8 text (byte 8)"),
        (b"x = " + b"[" * 50_000, "is not TOML: "),
        (b"x = " + b"9" * 5_000, "is not TOML: "),
        (b"name" + b".a" * 3_000 + b" = 1", ""),
        (b"#" * 2_000_001, "is larger than 2 MB, so it is no manifest"),
        (b"", "name: is missing"),
    ],
)
def test_files_that_are_no_manifest(tmp_path, content, problem):
    file = tmp_path / "model.toml"
    file.write_bytes(content)
    with pytest.raises(ManifestError) as caught:
        read_manifest(file)
    assert str(caught.value).startswith(f"{file}: {problem}")
    assert "\n" not in str(caught.value)


def test_the_mark_that_windows_puts_before_utf_8_is_no_text(tmp_path):
    file = tmp_path / "model.toml"
    file.write_bytes(b"\xef\xbb\xbf" + manifest_toml(manifest_of("waveform")).encode())
    assert read_manifest(file) == manifest_of("waveform")


def test_deeper_than_python_can_tell():
    """What TOML can nest, an error message may not be able to show."""
    value: dict[str, Any] = {}
    for _ in range(200_000):
        value = {"a": value}
    with pytest.raises(ManifestError, match=r"^model.toml: is nested too deeply$"):
        parse_manifest(changed("name", value), FILE)


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_files_that_cannot_be_read(tmp_path, name):
    with pytest.raises(ManifestError) as caught:
        read_manifest(tmp_path / name)
    assert re.fullmatch(rf"{tmp_path / name}: cannot be read: (No such file or|Is a) directory", str(caught.value))


# what is written is read back

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = TEXT.filter(str.strip)
SHARE = st.floats(0, 1)


@st.composite
def thresholds(draw: st.DrawFn) -> Threshold:
    off, on = sorted((draw(SHARE), draw(SHARE)))
    return Threshold(on, off)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    labels = tuple(names[: draw(st.integers(1, len(names)))])
    members = st.lists(st.sampled_from(labels), min_size=1, max_size=3).map(tuple)
    kind: Any = draw(st.sampled_from(["waveform", "spectrogram", "log_mel", "mfcc"]))
    sample_rate = draw(st.integers(1000, 192_000))
    axes: list[Any] = ["batch", "time", "channel"] if kind == "waveform" else ["batch", "time", "feature", "channel"]
    votes_of = draw(st.integers(1, 100))
    over = draw(thresholds())
    seconds = st.floats(0, 86_400)
    return Manifest(
        name=draw(st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True)),
        version=draw(TEXT),
        labels=labels,
        sha256=draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        clip=ClipSection(sample_rate, draw(st.integers(2048, 100 * sample_rate)), draw(st.integers(10, 60_000))),
        input=InputSection(
            kind, tuple(draw(st.permutations(axes))), draw(st.integers(0, 3)), draw(FINITE), draw(FINITE)
        ),
        description=draw(TEXT),
        license=draw(TEXT),
        training_data=tuple(draw(st.lists(TEXT, max_size=3))),
        output=OutputSection(draw(st.integers(0, 3)), draw(st.sampled_from(["none", "sigmoid", "softmax"]))),
        features=None if kind == "waveform" else draw(feature_configs(kind, sample_rate, FINITE)),
        detector=DetectorSection(
            over.on,
            over.off,
            draw(st.integers(1, 100)),
            draw(st.integers(1, votes_of)),
            votes_of,
            draw(seconds),
            draw(seconds),
            draw(seconds),
        ),
        groups={name: draw(members) for name in names[len(labels) :]},
        thresholds=draw(st.dictionaries(st.sampled_from(names), thresholds(), max_size=3)),
    )


@pytest.mark.integration  # it takes seconds
@settings(max_examples=examples(50))
@given(manifests())
def test_what_is_written_is_read_back(manifest):
    assert parse_manifest(tomllib.loads(manifest_toml(manifest)), FILE) == manifest


def test_what_is_written_is_short():
    assert (
        manifest_toml(manifest_of("waveform", sha256=DIGEST))
        == f"""\
schema_version = 1
name = "test"
version = "1"
labels = ["first", "second", "third"]
sha256 = "{DIGEST}"

[clip]
sample_rate = 1200
n_samples = 120
period_ms = 50

[input]
kind = "waveform"
"""
    )


def test_long_lists_get_a_line_an_item():
    text = manifest_toml(replace(manifest_of("waveform"), labels=tuple(f"label {i}" for i in range(40))))
    assert 'labels = [\n  "label 0",\n  "label 1",\n' in text


# hostile input

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.datetimes() | st.just(10**400)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
)
SECTIONS: dict[str, Any] = {
    "": Manifest,
    "clip/": ClipSection,
    "input/": InputSection,
    "output/": OutputSection,
    "detector/": DetectorSection,
    "features/": FeatureConfig,
    "thresholds/siren/": Threshold,
}
KEYS = st.sampled_from([section + item.name for section, cls in SECTIONS.items() for item in dataclasses.fields(cls)])


@given(KEYS, VALUES)
def test_any_value_anywhere_is_read_or_refused(key, value):
    with suppress(ManifestError):
        manifest = parse_manifest(changed(key, value), FILE)
        assert parse_manifest(tomllib.loads(manifest_toml(manifest)), FILE) == manifest


@given(VALUES)
def test_any_table_is_refused(value):
    if isinstance(value, dict):
        with pytest.raises(ManifestError):
            parse_manifest(value, FILE)


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_in_the_file_are_read_or_refused(tmp_path_factory, junk, position):
    good = manifest_toml(manifest_of("features_time_major")).encode()
    file = tmp_path_factory.mktemp("m") / "model.toml"
    file.write_bytes(good[:position] + junk + good[position:])
    with suppress(ManifestError):
        read_manifest(file)


def test_the_limit_of_a_file_is_its_own(tmp_path, monkeypatch):
    file = tmp_path / "model.toml"
    text = manifest_toml(manifest_of("waveform"))
    file.write_text(text)
    monkeypatch.setattr(manifest_file, "MAX_BYTES", len(text))
    assert read_manifest(file).name == "test"


def test_a_name_of_earlier_versions_is_read_with_one_warning(caplog):
    earlier = {**table(), "licence": "CC0-1.0"}
    path = Path("models/earlier/model.toml")
    for _ in range(2):
        assert parse_manifest(earlier, path).license == "CC0-1.0"
    assert [record.getMessage() for record in caplog.records] == [
        (
            "models/earlier/model.toml: licence is called license now, and the earlier name is read for two more "
            "releases; rename it (in a file, `edgeaudio config migrate` does)"
        )
    ]
    with pytest.raises(ManifestError, match="licence: is the earlier name of license, which is there too"):
        parse_manifest({**earlier, "license": "MIT"}, path)
