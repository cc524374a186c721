"""Fused models: how they are loaded and refused, and which members' scores stand when they are combined."""

import shutil
import tomllib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.fused import CLIP, fused_directory, member
from support.tflite import LABELS, SPECTRUM, WAVEFORM, content_of

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import find_model
from edgeaudio.recognise.fused_model import FusedModel, FusedStream
from edgeaudio.recognise.manifest import FILE_NAME, ClipSection, DetectorSection, Threshold
from edgeaudio.recognise.manifest_file import ManifestError, manifest_toml, parse_manifest, read_manifest
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import ModelBinding, SourcePipeline
from edgeaudio.types import Block, Event, Scores

START = datetime(2026, 1, 1, tzinfo=UTC)
ABSENT = object()
TOML = """
name = "fused"
version = "1"
labels = ["first", "second"]
combine = "mean_logit"

[clip]
sample_rate = 8000
n_samples = 800

[[fuse]]
model = "one"
sha256 = "{one}"
[fuse.labels]
first = "a"
second = "b"
[fuse.weights]
first = 2.0

[[fuse]]
model = "two"
sha256 = "{two}"
[fuse.labels]
second = "x"
"""


def table():
    return tomllib.loads(TOML.format(one="1" * 64, two="2" * 64))


def changed(key, value):
    """The table with the value of one key, its parts separated by `/`, changed or removed."""
    whole = table()
    *path, last = (int(part) if part.isdigit() else part for part in key.split("/"))
    inner = whole
    for name in path:
        inner = inner[name] if isinstance(name, int) else inner.setdefault(name, {})
    if value is ABSENT:
        del inner[last]
    else:
        inner[last] = value
    return whole


def test_a_manifest_is_written_as_it_was_read():
    manifest = parse_manifest(table(), Path("model.toml"))
    text = manifest_toml(manifest)
    assert parse_manifest(tomllib.loads(text), Path("model.toml")) == manifest
    assert not {"sha256", "input", "features"} & tomllib.loads(text).keys()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("sha256", "0" * 64, "sha256: does not go with [[fuse]]: each member has its own"),
        ("input/kind", "waveform", "input: does not go with [[fuse]]: each member has its own"),
        ("fuse", [], "fuse: is empty"),
        ("fuse", 3, "fuse: 3 is not a list"),
        ("fuse/0/colour", 1, "fuse[0].colour: unknown key"),
        ("fuse", table()["fuse"] * 5, "fuse: there are 10 members; 1 to 8 are possible"),
        ("combine", "median", 'combine: \'median\' is none of "mean_logit", "mean", "max", "min", "k_of_n"'),
        ("combine", "k_of_n", "k: 0 is not from 1 to 2, the number of members"),
        ("k", 1, 'k: goes with combine = "k_of_n"'),
        ("combine", "max", 'fuse[0].weights.first: does not go with combine = "max"'),
        ("combine_labels/second", "median",
         'combine_labels.second: \'median\' is none of "mean_logit", "mean", "max", "min", "k_of_n"'),
        ("combine_labels/third", "max", "combine_labels.third: is not one of the labels"),
        ("combine_labels/second", "k_of_n", "k: 0 is not from 1 to 2, the number of members"),
        ("combine_labels/first", "max", 'fuse[0].weights.first: does not go with combine = "max"'),
        ("fuse/1/window", "long", 'fuse[1].window: \'long\' is none of "last", "clip"'),
        ("fuse/1/model", "../two",
         "fuse[1].model: '../two' is not made of letters, digits, - and _: it is the name of a directory"),
        ("fuse/1/sha256", "2",
         "fuse[1].sha256: is not 64 hexadecimal digits in lower case: those of the member's model.toml"),
        ("fuse/1/labels", {}, "fuse[1].labels: is empty: the member has no say; remove it"),
        ("fuse/1/labels/third", "x", "fuse[1].labels.third: is not one of the labels"),
        ("fuse/1/weights/first", 1, "fuse[1].weights.first: is not one of the member's [fuse.labels]"),
        ("fuse/0/weights/first", 0, "fuse[0].weights.first: 0 is not above 0"),
        ("fuse/0/weights/first", 1e308, "fuse[0].weights.first: 1e+308 is over 1000"),
        ("fuse/0/weights/first", -1.5, "fuse[0].weights.first: -1.5 is not above 0"),
        ("fuse/0/weights/first", float("nan"), "fuse[0].weights.first: nan is not a finite number"),
        ("fuse/1/model", "one", "fuse[1].model: 'one' is a member already: one model has one say"),
        ("fuse/1/sha256", "1" * 64, "fuse[1].model: 'two' is a member already: one model has one say"),
        ("labels", ["first", "second", "third"], "labels: 'third' is in no member's [fuse.labels]"),
        ("labels", [], "labels: there are 0; 1 to 10000 are possible"),
    ],
)  # fmt: skip
def test_refusals(key, value, problem):
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(key, value), Path("model.toml"))
    assert str(caught.value) == f"model.toml: {problem}"


@pytest.mark.parametrize(("key", "value"), [("combine", "max"), ("combine_labels", {"first": "max"}), ("k", 1)])
def test_a_model_without_members_says_nothing_of_them(key, value):
    whole = table() | {"sha256": "0" * 64, "input": {"kind": "waveform"}, "combine": "mean_logit"} | {key: value}
    del whole["fuse"]
    with pytest.raises(ManifestError, match=rf"^model\.toml: {key}: goes with \[\[fuse\]\]$"):
        parse_manifest(whole, Path("model.toml"))


def test_the_hash_is_that_of_what_is_combined_and_how():
    def digest(key, value):
        return parse_manifest(changed(key, value), Path("model.toml")).sha256

    own = digest("version", "1")
    assert digest("detector/on", 0.9) == digest("description", "x") == digest("fuse/0/weights/second", 1.0) == own
    changes = [
        ("combine", "mean"), ("fuse/0/sha256", "3" * 64), ("fuse/0/labels/first", "c"), ("fuse/0/weights/first", 3.0),
        ("combine_labels/second", "max"), ("fuse/0/window", "clip"),
    ]  # fmt: skip
    assert len({own, *(digest(*change) for change in changes)}) == 7
    assert digest("fuse/0/window", "last") == own


@pytest.mark.parametrize("place", ["in it", "beside it"])
def test_members_are_found(tmp_path, place):
    sections = [member(tmp_path, "one"), member(tmp_path, "two", "waveform_int8")]
    directory = fused_directory(tmp_path, sections)
    if place == "in it":
        for section in sections:
            shutil.move(tmp_path / section.model, directory)
    model = load_model(directory, name="other", groups={"all": LABELS})
    assert isinstance(model, FusedModel)
    assert (model.manifest.name, model.manifest.reported) == ("other", (*LABELS, "all"))
    assert [each.path.parent.name for each in model.members] == ["one", "two"]
    assert model.manifest.sha256 == read_manifest(directory / FILE_NAME).sha256
    assert [each.quantum for each in model.members] == [1 / 256, pytest.approx(2 / 255)]


def test_a_member_is_found_by_the_name_of_a_bundled_model(tmp_path):
    home = read_manifest(find_model("home") / FILE_NAME)
    section = replace(member(tmp_path, "any"), model="home", sha256=home.sha256, labels={"first": "siren"})
    directory = fused_directory(tmp_path, [section], labels=("first",), clip=home.clip)
    model = load_model(directory)
    assert isinstance(model, FusedModel)
    assert model.members[0].manifest == home


def refusal(directory):
    with pytest.raises(EdgeaudioError) as caught:
        load_model(directory)
    return str(caught.value).removeprefix(f"{directory / FILE_NAME}: ").replace(str(directory.parent), "..")


def test_members_that_do_not_fit_are_refused_in_one_line(tmp_path):
    one = member(tmp_path, "one")
    assert refusal(fused_directory(tmp_path, [replace(one, model="unknown")])).startswith(
        "fuse[0].model: model 'unknown' is neither a directory"
    )
    longer = "x" * 300  # than a directory's name can be
    assert refusal(fused_directory(tmp_path, [replace(one, model=longer)])).startswith(
        f"fuse[0].model: model '{longer}' is neither a directory"
    )
    wrong = replace(one, sha256="5" * 64)
    assert refusal(fused_directory(tmp_path, [wrong])) == (
        f"fuse[0].sha256: is {'5' * 64}, and that of ../one is {one.sha256}"
    )
    wrong = replace(one, labels={**one.labels, "first": "fourth"})
    assert refusal(fused_directory(tmp_path, [wrong])) == (
        "fuse[0].labels.first: 'fourth' is neither a label nor a group of ../one"
    )
    short = fused_directory(tmp_path, [one], clip=replace(CLIP, n_samples=799))
    assert refusal(short) == "clip.n_samples: 799 is 0.099875 s, and the clips of one are 0.1 s long"
    itself = replace(one, model="fused", sha256="6" * 64)
    assert refusal(fused_directory(tmp_path, [itself])) == (
        "fuse[0].model: ../fused is a fused model itself: name its members here"
    )
    (tmp_path / "one" / "model.tflite").write_bytes(content_of("waveform")[:-1])
    assert "its SHA-256 is" in refusal(fused_directory(tmp_path, [one]))


# what the pipeline makes of it


def noise(n, seed=0):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, n).astype(np.float32)
    samples[n // 3 : n // 2] *= 1e-5  # under the gate
    return samples


def blocks_of(samples, rate, cuts=()):
    offset = 0
    for piece in np.split(samples, sorted(cuts)):
        yield Block("porch", 0, offset, START + timedelta(seconds=offset / rate), rate, piece)
        offset += len(piece)


def run(models, samples, rate=8000, cuts=(), **options):
    bindings = [model if isinstance(model, ModelBinding) else ModelBinding(model) for model in models]
    pipeline = SourcePipeline("porch", bindings, namespace=UUID(int=0), **options)
    found = [result for block in blocks_of(samples, rate, cuts) for result in pipeline.feed(block)]
    return found + list(pipeline.flush())


def scores_of(results, model):
    return [each for each in results if isinstance(each, Scores) and each.model == model]


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Members of other rates, lengths, periods and inputs; one of them remembers."""
    parent = tmp_path_factory.mktemp("several")
    one = member(parent, "one")
    two = member(parent, "two", "features_time_major", clip=replace(SPECTRUM, period_ms=70))
    wake = replace(member(parent, "wake", "wake_word"), labels={"third": "wake"})
    clip = ClipSection(sample_rate=16000, n_samples=8000, period_ms=60)
    detector = DetectorSection(votes_of=2)
    fused = fused_directory(parent, [one, two, wake], clip=clip, groups={"any": LABELS}, detector=detector)
    return load_model(fused)


def told(results):
    """Return results for comparison to the last bit."""

    def bits(value):
        if isinstance(value, np.ndarray):
            return value.tobytes()
        return tuple(map(bits, value)) if isinstance(value, tuple) else value

    return [(type(each).__name__, *(bits(getattr(each, name)) for name in type(each).__slots__)) for each in results]


@settings(max_examples=examples(12))
@given(
    rate=st.sampled_from([8000, 11025, 16000]),
    n=st.integers(0, 12_000),
    cuts=st.lists(st.integers(0, 12_000), max_size=6),
)
def test_splitting_the_input_changes_nothing(several, rate, n, cuts):
    whole = run([several], noise(n), rate)
    assert told(run([several], noise(n), rate, [cut for cut in cuts if cut <= n])) == told(whole)
    assert bool(scores_of(whole, "fused")) == (n > 0)


def test_small_pieces_change_nothing_though_resamplers_are_late_by_different_times(several):
    samples = noise(12_000)
    results = run([several], samples, 16_000)
    assert len(scores_of(results, "fused")) > 4
    assert told(run([several], samples, 16_000, range(1, 12_000, 10))) == told(results)


def test_a_clip_under_the_gate_has_no_scores(several):
    found = scores_of(run([several], noise(60_000), 16_000), "fused")
    assert {scores.values is None for scores in found} == {True, False}


@pytest.mark.parametrize("shared", [True, False], ids=["clips of the member", "clips of its own"])
def test_one_member_alone_gives_its_scores_at_the_times_of_the_fused_clips(tmp_path, shared):
    section = member(tmp_path, "one", "waveform_int8", clip=replace(WAVEFORM, period_ms=25))
    clip = replace(WAVEFORM, period_ms=25 if shared else 50)
    model = load_model(fused_directory(tmp_path, [section], clip=clip, detector=DetectorSection(on=0.5, off=0.4)))
    results = run([model, load_model(tmp_path / "one")], noise(6000) + np.float32(0.3), gate_dbfs=-100)
    own, fused = scores_of(results, "one"), scores_of(results, "fused")
    step = 1 if shared else 2
    assert len(fused) > 10
    for theirs, ours in zip(own[::step], fused, strict=False):
        assert (ours.offset_s, ours.at, ours.duration_s) == (theirs.offset_s, theirs.at, theirs.duration_s)
        np.testing.assert_array_equal(ours.values, theirs.values)
        np.testing.assert_array_equal(ours.powers, theirs.powers)
        ((name, scores),) = ours.members
        assert name == "one"
        np.testing.assert_array_equal(scores, theirs.values)
        assert ours.info.sha256 == model.manifest.sha256


def test_the_last_score_of_each_member_stands_until_it_is_older_than_its_clip(tmp_path):
    """One hears 0.1 s of each second; the fused model combines every 50 ms."""
    rare = member(tmp_path, "rare", clip=replace(WAVEFORM, period_ms=1000))
    often = member(tmp_path, "often", "waveform_int8", clip=replace(WAVEFORM, period_ms=50))
    model = load_model(fused_directory(tmp_path, [rare, often], combine="max", clip=replace(WAVEFORM, period_ms=50)))
    found = scores_of(run([model], np.full(2 * 1200, 0.9, np.float32), 1200), "fused")
    stands = [round(each.offset_s, 3) for each in found if each.members[0][1][0] > 0]
    assert stands[:6] == [0.0, 0.05, 0.1, 1.0, 1.05, 1.1]
    assert all(each.members[1][1][0] > 0 for each in found)


def test_a_member_under_the_gate_counts_as_zero(tmp_path):
    """The fused clip is loud at its beginning alone; the member's clip is its end."""
    section = member(tmp_path, "one", clip=replace(WAVEFORM, n_samples=120))
    model = load_model(fused_directory(tmp_path, [section], clip=replace(WAVEFORM, n_samples=360)))
    samples = np.concatenate([np.full(120, 0.9, np.float32), np.zeros(240, np.float32)])
    (found,) = scores_of(run([model], samples, 1200), "fused")
    assert found.values.tolist() == [0, 0, 0]


def test_a_brief_sound_counts_as_long_as_the_fused_clip_holds_it(tmp_path):
    """The fused clip is 0.3 s long, the member's 0.1 s; 0.1 s of it are loud."""
    section = member(tmp_path, "one", clip=replace(WAVEFORM, period_ms=100))
    samples = np.concatenate([np.zeros(240), np.full(120, 0.9), np.zeros(720)]).astype(np.float32)
    samples += np.float32(1e-4)  # no clip is digital silence
    found = {}
    for window in ("last", "clip"):
        sections = [replace(section, window=window)]
        model = load_model(fused_directory(tmp_path, sections, clip=replace(WAVEFORM, n_samples=360, period_ms=100)))
        scores = scores_of(run([model], samples, 1200, gate_dbfs=-200), "fused")
        found[window] = [round(each.offset_s, 3) for each in scores if max(each.values) > 0.5]
    assert found == {"last": [0.0], "clip": [0.0, 0.1, 0.2]}


@pytest.mark.parametrize("window", ["last", "clip"])
def test_a_night_under_the_gate_is_not_kept_in_memory(tmp_path, window):
    sections = [replace(member(tmp_path, name), window=window) for name in ("one", "two")]
    sections[1] = replace(sections[1], sha256=member(tmp_path, "other", "waveform_int8").sha256, model="other")
    model = load_model(fused_directory(tmp_path, sections, clip=WAVEFORM))
    pipeline = SourcePipeline("porch", [ModelBinding(model)], namespace=UUID(int=0))
    for number, block in enumerate(blocks_of(np.zeros(1200 * 60, np.float32), 1200, range(1200, 1200 * 60, 1200))):
        assert all(scores.values is None for scores in pipeline.feed(block) if isinstance(scores, Scores)), number
    assert pipeline._epoch is not None
    (stream,) = pipeline._epoch._fused.values()
    assert isinstance(stream, FusedStream)
    assert max(map(len, stream._heard)) < 10


def test_events_name_the_scores_of_the_members_that_have_the_label(tmp_path):
    one = replace(member(tmp_path, "one"), labels={"first": "first"})
    two = member(tmp_path, "two", "waveform_int8")
    detector = DetectorSection(on=0.6, off=0.4)
    model = load_model(fused_directory(tmp_path, [one, two], clip=WAVEFORM, detector=detector))
    samples = np.concatenate([np.zeros(600), np.linspace(0.5, 0.95, 1200), np.zeros(600)]).astype(np.float32)
    events = [each for each in run([model], samples, 1200) if isinstance(each, Event)]
    assert {each.label for each in events} == set(LABELS)
    for event in events:
        names = [name for name, _ in event.members]
        assert names == (["one", "two"] if event.label == "first" else ["two"])
        if event.label != "first":
            assert event.members[0][1] == pytest.approx(event.score)
    first = {event.kind: event.members[0][1] for event in events if event.label == "first"}
    assert first["onset"] < first["offset"]  # the peak


def test_a_source_with_a_fused_model_has_members(several):
    for models, expected in ([several.members[0], several], True), (several.members, False):
        pipeline = SourcePipeline("porch", [ModelBinding(each) for each in models], namespace=UUID(int=0))
        assert pipeline.has_members == expected


def test_a_period_and_thresholds_of_the_source_are_those_of_the_fused_model(tmp_path):
    section = member(tmp_path, "one")
    model = load_model(fused_directory(tmp_path, [section], clip=WAVEFORM))
    binding = ModelBinding(model, period_s=0.2, thresholds={"first": Threshold(0.9, 0.1)})
    found = scores_of(run([binding], noise(6000), gate_dbfs=-100), "fused")
    starts = [each.offset_s for each in found]
    assert starts[:3] == pytest.approx([0, 0.2, 0.4])
