"""What recognisers answer: JSON, texts, numbers, languages."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.speech.answer import MAX_TEXT, AnswerError, number_of, read_json, short_name, text_of
from edgeaudio.speech.language import code_of, tagged_language


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"1", b'"x"', b"null", b"\xff{}", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000, "{\ud800"],
)
def test_what_is_no_object_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerError):
        read_json(data)


@given(st.text())
def test_a_text_can_be_published_whatever_it_was(text: str) -> None:
    spoken = text_of(text, "text")
    json.dumps(spoken).encode()
    spoken.encode()
    assert spoken == " ".join(spoken.split())
    assert all(character.isprintable() or character in "\u200c\u200d" or ord(character) > 127 for character in spoken)
    assert text_of(spoken, "text") == spoken or "<|" in text


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("  Turn it\n off. ", "Turn it off."),
        ("<|en|><|0.00|> Yes.<|1.20|>", "Yes."),
        ("<|zh|><|NEUTRAL|><|Speech|><|woitn|>开灯", "开灯"),
        ("a\x00\x1b[31mb\ud800c", "a [31mb c"),
        ("नमस्\u200dते", "नमस्\u200dते"),  # a joiner that scripts are written with
        ("2 <| 3", "2 <| 3"),
    ],
)
def test_a_text_is_one_line_without_tokens_and_controls(text: str, spoken: str) -> None:
    assert text_of(text, "text") == spoken


@pytest.mark.parametrize("value", [None, 1, ["x"], {"text": "x"}, True, "x" * (MAX_TEXT + 1)])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(AnswerError):
        text_of(value, "text")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, -0.1, 1.1, 10**400])
def test_a_number_beyond_its_bounds_is_none(value: object) -> None:
    assert number_of(value, "x", 0.0, 1.0) is None


@pytest.mark.parametrize("value", ["1", True, [], {}])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(AnswerError):
        number_of(value, "x")


def test_a_number_within_its_bounds_is_one() -> None:
    assert number_of(0, "x", 0.0, 1.0) == 0.0
    assert number_of(0.25, "x", 0.0, 1.0) == 0.25


@pytest.mark.parametrize(
    ("value", "name"), [("a\nb", "a b"), ("x" * 100, "x" * 64), ("", None), (1, None), ("\x1b", None), ("é", "é")]
)
def test_a_name_can_be_shown(value: object, name: str | None) -> None:
    assert short_name(value) == name


@pytest.mark.parametrize(
    ("value", "code"),
    [
        *[("english", "en"), ("English ", "en"), ("en", "en"), ("en-US", "en"), ("zh_CN", "zh"), ("jw", "jv")],
        *[("haitian creole", "ht"), ("cantonese", None), ("yue", None), ("auto", None), ("", None), (1, None)],
        *[(None, None), ("x" * 10_000, None)],
    ],
)
def test_a_language_is_two_letters(value: object, code: str | None) -> None:
    assert code_of(value) == code


@pytest.mark.parametrize(
    ("text", "code"), [("<|zh|><|HAPPY|>好", "zh"), ("<|yue|>好", None), ("好", None), ("a<|en|>", None), (1, None)]
)
def test_a_language_before_a_text_is_known(text: object, code: str | None) -> None:
    assert tagged_language(text) == code
