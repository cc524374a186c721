"""Tensors, metadata and packed files of a `.tflite` file."""

import zipfile
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.tflite import content_of

from edgeaudio.recognise import tflite_file
from edgeaudio.recognise.interpreter import ModelError
from edgeaudio.recognise.tflite_file import Tensor, packed_files, read_tensors

FILE = Path("m.tflite")


def packed(content, **members):
    """Return the model with a zip archive after it, as model makers append it."""
    file = BytesIO(content)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_quantised_tensors_are_described():
    inputs, outputs = read_tensors(FILE, content_of("waveform_int8"))
    assert inputs == [Tensor("x", (1, 120), "int8", inputs[0].scale, -1)]
    assert inputs[0].scale == outputs[0].scale == pytest.approx(2 / 255)
    assert [(tensor.shape, tensor.dtype) for tensor in outputs] == [((1, 3), "int8")]


def test_an_open_length_is_minus_1():
    inputs, _ = read_tensors(FILE, content_of("waveform_open_length"))
    assert inputs == [Tensor("x", (-1,), "float32", 0.0, 0)]


def test_several_tensors_are_described_in_order():
    inputs, outputs = read_tensors(FILE, content_of("waveform_two_outputs"))
    assert [tensor.shape for tensor in inputs + outputs] == [(1, 120), (1, 3), (1, 2)]


def test_a_file_that_is_no_model_is_refused():
    with pytest.raises(ModelError, match=r"^m.tflite: is not a TFLite model"):
        read_tensors(FILE, b"hello")


def test_packed_files_are_read(monkeypatch):
    content = packed(content_of("waveform"), **{"labels.txt": "a\nb\n", "logo.png": b"\x89PNG\xff", "long": "x" * 101})
    monkeypatch.setattr(tflite_file, "MAX_PACKED_BYTES", 100)
    assert packed_files(content) == {"labels.txt": b"a\nb\n", "logo.png": b"\x89PNG\xff"}
    monkeypatch.setattr(tflite_file, "MAX_ALL_PACKED_BYTES", 6)
    assert packed_files(content) == {"labels.txt": b"a\nb\n"}
    read_tensors(FILE, content)  # and it is still a model


def test_a_model_without_an_archive_packs_nothing():
    assert packed_files(content_of("waveform")) == {}


@pytest.mark.parametrize("method", [12, 14, 93], ids=["bzip2", "lzma", "zstd"])
def test_an_archive_whose_method_is_damaged_is_none(method):
    """Each method's module raises its own errors, and Python versions differ in the modules."""
    archive = bytearray(packed(b"", **{"labels.txt": "a\nb\n" * 100}))
    entry = archive.index(b"PK\x01\x02")  # of the central directory; 10 bytes on is the method
    archive[entry + 10 : entry + 12] = method.to_bytes(2, "little")
    assert packed_files(bytes(archive)) == {}


@given(st.integers(0, 400), st.binary(min_size=1, max_size=8))
def test_a_damaged_archive_is_none(position, junk):
    archive = packed(b"", **{"labels.txt": "a\nb\n" * 100, "more.txt": "c\n" * 50})
    position %= len(archive)
    found = packed_files(archive[:position] + junk + archive[position + len(junk) :])
    assert len(found) <= 2
