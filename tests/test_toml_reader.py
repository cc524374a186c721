"""TOML that users write is read within bounds, and what is wrong with it is said without logins."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio import toml_reader
from edgeaudio.toml_reader import MAX_PARTS, TomlError, loads


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("a = 1\nb = ", "Invalid value", "2:end"),
        ("a = 1\nb", "Expected '=' after a key in a key/value pair", "2:end"),
        ("['me:hunter2@cam']\n['me:hunter2@cam']", "Cannot declare ('***',) twice", "2:18"),
        ("x = " + "[" * 50_000, "nested too deep", ""),
        ("x = " + "9" * 5_000, "a number has too many digits", ""),
        ("a = 1\n  " + "b." * MAX_PARTS + "c = 1", "nested too deep", "2:3"),
        ("[" + "'b'\t. \"c\" ." * MAX_PARTS + "c]", "nested too deep", "1:2"),
        ("{x = {" + "b." * 100_000 + "c = 1}}", "nested too deep", "1:7"),
    ],
)
def test_what_is_wrong_and_where(text: str, problem: str, place: str) -> None:
    with pytest.raises(TomlError) as caught:
        loads(text)
    assert (caught.value.problem, caught.value.place) == (problem, place)


def test_a_long_text_is_read_in_linear_time() -> None:
    for piece in ("a", "'", '"', "a.", "a .", "'a'.", "- ", "a. "):
        text = f"# {piece * (1_000_000 // len(piece))}"
        if piece.strip() in {"a.", "a .", "'a'."}:
            with pytest.raises(TomlError):
                loads(text)
        else:
            assert loads(text) == {}


@given(st.text(st.sampled_from("ab.'\"=[]{}\n #1-,"), max_size=40))
def test_all_other_toml_is_read_as_the_library_reads_it(text: str) -> None:
    try:
        wanted = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(TomlError):
            loads(text)
    else:
        assert loads(text) == wanted


def test_lists_of_numbers_and_addresses_are_no_long_keys() -> None:
    numbers = ", ".join(["0.125"] * 1000)
    text = f'a = [{numbers}]\nb = "http://www.example.org/a.b.c/1.2.3"  # v1.2.3.4'
    assert toml_reader.loads(text)["b"] == "http://www.example.org/a.b.c/1.2.3"
