"""Which text a recogniser invented, and what stays."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.speech.answer import MAX_TEXT
from edgeaudio.speech.invented import (
    COMPRESSION,
    LOG_PROBABILITY,
    MOST_DOUBT,
    WEIGHT,
    Invention,
    is_loop,
    why_invented,
    without_invented,
)
from edgeaudio.speech.recogniser import Recognition, Segment


def segment(
    text: str, no_speech: float | None = 0.1, probability: float | None = -0.5, compression: float | None = 0.8
) -> Segment:
    return Segment(0.0, 1.0, text, no_speech, probability, compression)


def sifted(*segments: Segment) -> tuple[str, tuple[Invention, ...]]:
    whole = Recognition(" ".join(each.text for each in segments), "en", 0.5, segments)
    kept, why = without_invented(whole)
    assert kept.language == "en"
    assert (kept is whole) == (not why)
    return kept.text, why


def test_what_was_said_stays_as_it_is() -> None:
    assert sifted(segment("Thank you."), segment("Turn it off.", None, None, None)) == ("Thank you. Turn it off.", ())


@pytest.mark.parametrize("text", ["[", "(", "\uff08", "\u3010", "[("])
def test_a_text_of_opening_brackets_holds_nobody_up(text: str) -> None:
    """Regular expressions let no other thread run: this one took 0.2 s, and fifty of them fit into an answer."""
    begin_s = time.process_time()
    assert why_invented(segment(text * (MAX_TEXT // len(text)))) is Invention.NO_WORDS
    assert time.process_time() - begin_s < 0.1


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (segment("Thank you.", MOST_DOUBT + 0.01, None), Invention.NO_SPEECH),
        (segment("Thank you.", MOST_DOUBT + 0.01 - WEIGHT * 0.5, -0.5), Invention.NO_SPEECH),
        (segment("Thank you.", 0.0, LOG_PROBABILITY - 0.01), Invention.IMPROBABLE),
        (segment("Thank you.", None, LOG_PROBABILITY - 0.01), Invention.IMPROBABLE),
        (segment("a a b", compression=COMPRESSION + 0.1), Invention.LOOP),
        (segment("Ah, ah, ah, ah, ah!"), Invention.LOOP),
        (segment("."), Invention.NO_WORDS),
        (segment("[BLANK_AUDIO]"), Invention.NO_WORDS),
        (segment("(wind blowing) ♪"), Invention.NO_WORDS),
    ],
)
def test_a_segment_is_invented(of: Segment, why: Invention) -> None:
    assert sifted(of) == ("", (why,))
    assert sifted(segment("Turn it off."), of, segment("Please.")) == ("Turn it off. Please.", (why,))


@pytest.mark.parametrize(
    "of",
    [
        segment("Thank you.", MOST_DOUBT, None),
        segment("Thank you.", MOST_DOUBT - WEIGHT * 0.5 - 0.001, -0.5),
        segment("Thank you.", 0.0, LOG_PROBABILITY),
        segment("Thank you.", None, LOG_PROBABILITY),
        segment("no, no, no, no", compression=COMPRESSION),
        segment("[laughs] Stop it."),
        segment("7"),
    ],
)
def test_a_segment_at_a_bound_was_said(of: Segment) -> None:
    assert sifted(of) == (of.text, ())


def test_segments_that_repeat_one_another_are_a_loop() -> None:
    assert sifted(*[segment("Ah!")] * 5) == ("", (Invention.LOOP,))
    assert sifted(*[segment("One.")] * 3)[1] == ()


def test_confidence_is_that_of_what_stays() -> None:
    recognition = Recognition("a b", None, 0.1, (segment("a", 0.9, -0.1), segment("b", 0.1, 0.0)))
    assert without_invented(recognition)[0] == Recognition("b", None, 1.0, (segment("b", 0.1, 0.0),))


def test_of_a_text_without_segments_the_text_decides() -> None:
    assert without_invented(Recognition("Thank you.")) == (Recognition("Thank you."), ())
    assert without_invented(Recognition("[BLANK_AUDIO]")) == (Recognition(""), (Invention.NO_WORDS,))
    assert without_invented(Recognition("")) == (Recognition(""), ())


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("no no no no", False),
        ("No, no, no, no, NO!", True),
        ("let's go, let's go, let's go", False),
        ("Well, let's go, let's go, let's go, let's go now", True),
        ("one two three four five six seven eight " * 4, True),
        ("one two three four five six seven eight nine " * 4, False),
        ("谢谢谢谢谢", True),
        ("谢谢大家", False),
        ("请按赞订阅请按赞订阅请按赞订阅请按赞订阅", True),
        ("five five five five", False),
        ("", False),
    ],
)
def test_a_loop_follows_itself(text: str, *, loops: bool) -> None:
    assert is_loop(text) == loops


@given(st.lists(st.sampled_from("ab"), max_size=12), st.integers(4, 6), st.text("ab ", max_size=8))
def test_a_phrase_of_up_to_eight_words_that_is_repeated_is_a_loop(phrase: list[str], times: int, around: str) -> None:
    text = " ".join([around, *phrase * times, around])
    if 0 < len(phrase) <= 8 and (len(set(phrase)) > 1 or len(phrase) * times >= 5):
        assert is_loop(text)


@given(st.text(max_size=60), st.floats(0, 1), st.floats(-5, 0), st.floats(0, 9))
def test_any_segment_is_judged_and_nothing_is_added(
    text: str, no_speech: float, probability: float, compression: float
) -> None:
    one = segment(text, no_speech, probability, compression)
    kept, why = without_invented(Recognition(text, None, None, (one,)))
    assert kept.text in {text, ""}
    assert bool(why) == (kept.segments == () and bool(text))
