"""Untrusted flatbuffers: fields are read, and offsets out of the content are refused."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.tflite import content_of

from edgeaudio.recognise import flatbuffer
from edgeaudio.recognise.flatbuffer import FlatbufferError, root_of
from edgeaudio.recognise.recurrent_state import state_of


def test_the_root_table_of_a_model_is_read():
    model = root_of(content_of("waveform"))
    assert model.number(0, "<I") == 3  # the schema's version
    assert model.text(3) == "MLIR Converted."
    (graph,) = model.tables(2)
    first = graph.tables(0)[0]
    assert first.text(3) == "x"
    np.testing.assert_array_equal(first.numbers(0, "<i4"), [1, 120])


def test_an_absent_field_has_its_default():
    model = root_of(content_of("waveform"))
    assert model.number(99, "<I", 7) == 7
    assert (model.text(99), model.table(99), model.tables(99)) == ("", None, [])
    assert model.numbers(99, "<f4").tolist() == []


def test_text_that_is_not_utf_8_is_still_read():
    content = content_of("waveform").replace(b"MLIR", b"ML\xffR")
    assert root_of(content).text(3) == "ML\ufffdR Converted."


@pytest.mark.parametrize("content", [b"", b"\x04\0\0\0", b"\xff\xff\xff\xff" * 4, b"\x04\0\0\0\0\0\0\x80"])
def test_a_root_outside_the_content_is_refused(content):
    with pytest.raises(FlatbufferError, match=r"^an offset leads to byte -?\d+ of \d+$"):
        root_of(content)


def test_a_vector_longer_than_the_file_is_refused():
    # a table at 10 whose vtable at 4 has one field, at 4 in the table: a vector of 2**31 items
    content = struct.pack("<IHHHiII", 10, 6, 8, 4, 6, 4, 1 << 31)
    with pytest.raises(FlatbufferError, match=r"^the vector at byte 18 is longer than the file$"):
        root_of(content).numbers(0, "<f4")


def test_a_table_referenced_too_often_is_refused(monkeypatch):
    """A file of a kilobyte can reference millions of tables."""
    monkeypatch.setattr(flatbuffer, "MAX_TABLES", 100)
    root = root_of(content_of("waveform"))
    over_and_over = (root.tables(2) for _ in range(101))
    with pytest.raises(FlatbufferError, match=r"^there are more than 100 tables$"):
        list(over_and_over)


@given(st.lists(st.tuples(st.integers(0, 1011), st.integers(0, 255)), min_size=1, max_size=8))
@example([(4, 0)])
def test_a_damaged_model_is_read_or_refused(changes):
    content = bytearray(content_of("waveform"))
    for position, value in changes:
        content[position] = value
    with suppress(FlatbufferError):
        state_of(bytes(content))
