"""TFLITE_METADATA, by the official writer and damaged."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.flatbuffers import flatbuffer
from support.tflite import content_of

from edgeaudio.recognise.flatbuffer import FlatbufferError
from edgeaudio.recognise.interpreter import ModelError
from edgeaudio.recognise.tflite_file import read_model_metadata
from edgeaudio.recognise.tflite_metadata import LabelFile, Metadata, TensorMetadata, read_metadata

HEADS = content_of("others/heads")


def model_with(metadata, buffer=("<I", 1), name="TFLITE_METADATA"):
    """Return the part of a `.tflite` file that references its metadata."""
    return flatbuffer({4: [{}, {0: metadata}], 6: [{0: "min_runtime_version", 1: ("<I", 0)}, {0: name, 1: buffer}]})


def labels(name, kind, locale=""):
    return {0: name, 2: ("<b", kind)} | ({3: locale} if locale else {})


def test_metadata_of_the_official_writer_is_read():
    assert read_metadata(HEADS) == Metadata(
        inputs=(TensorMetadata(sample_rate=22050, channels=1),),
        outputs=(
            TensorMetadata(label_files=(LabelFile("labels_en_2.txt", "en"), LabelFile("labels_cn_2.txt", "cn"))),
            TensorMetadata(label_files=(LabelFile("labels_en_1.txt", "en"), LabelFile("labels_cn_1.txt", "cn"))),
        ),
    )
    assert read_metadata(content_of("others/meta_44k")).input(0).sample_rate == 44100


def test_a_model_without_metadata_has_empty_metadata():
    assert read_metadata(content_of("waveform")) == Metadata()
    assert read_metadata(model_with(b"", name="CONVERSION_METADATA")) == Metadata()
    assert Metadata().input(3) == Metadata().output(3) == TensorMetadata()


def test_every_supported_field_is_read():
    audio = {0: ("<B", 4), 1: {0: ("<I", 8000), 1: ("<I", 2)}}
    image = {0: ("<B", 2), 1: {}}
    normal = {0: ("<B", 1), 1: {0: np.array([0.5], "<f4"), 1: np.array([2.0], "<f4")}}
    threshold = {0: ("<B", 3), 1: {0: ("<f", 0.25)}}
    calibration = {0: ("<B", 2), 1: {}}
    graph = {
        2: [{3: audio, 4: [normal]}, {3: image}],
        3: [{4: [calibration, threshold], 6: [labels("a.txt", 2, "de"), labels("readme", 1), labels("b.txt", 3)]}],
        4: [labels("graph.txt", 2)],
    }
    content = model_with(flatbuffer({1: "What it\nhears.", 3: [graph, {}], 5: "MIT", 6: [labels("all.txt", 2)]}))
    assert read_metadata(content) == Metadata(
        "What it\nhears.",
        "MIT",
        (TensorMetadata(8000, 2, (0.5,), (2.0,)), TensorMetadata()),
        (TensorMetadata(label_files=(LabelFile("a.txt", "de"), LabelFile("b.txt")), threshold=0.25, calibrated=True),),
        (LabelFile("graph.txt"), LabelFile("all.txt")),
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (model_with(b"\xff\xff\xff\xff"), "an offset leads to byte 4294967295 of 4"),
        (model_with(b""), "an offset leads to byte 0 of 0"),
        (model_with(b"", buffer=("<I", 99)), "item 99 of 2 is asked for"),
        (flatbuffer({6: [{0: "TFLITE_METADATA"}]}), "item 0 of 0 is asked for"),
    ],
)
def test_metadata_that_points_nowhere_is_refused_in_one_line(content, problem):
    with pytest.raises(ModelError) as caught:
        read_model_metadata(Path("m.tflite"), content)
    assert str(caught.value) == f"m.tflite: its metadata is damaged: {problem}"


@given(st.lists(st.tuples(st.integers(0, len(HEADS) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_metadata_is_read_or_refused(changes):
    content = bytearray(HEADS)
    for position, value in changes:
        content[position] = value
    with suppress(FlatbufferError):
        read_metadata(bytes(content))
