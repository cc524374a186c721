"""The proof of speech can fail; its short form needs real recognisers (tests/with_recognisers/test_chaos_speech.py)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from chaos.speech import _judged, _matches

FIRST, SECOND = "the alarm in the basement needs a new battery", "the dog has been barking since early in the morning"


def judged(*texts: tuple[str, str]) -> Any:
    found = [{"id": identity, "text": text} for identity, text in texts]
    heard = {FIRST: 10.0, SECOND: 20.0}
    scene: Any = SimpleNamespace(texts=lambda: found, arrived_s={identity: 22.0 for identity, _ in texts})
    lost = [each for each in heard if not _matches(each, [text.split() for _, text in texts])]
    return _judged("nothing", "whisper", [FIRST, SECOND], heard, lost, scene)


def test_each_sentence_once_holds() -> None:
    row = judged(("a", FIRST.replace("new", "blue")), ("b", SECOND))
    assert (row.faults, row.out, row.wrong_words, row.late_s) == ((), 2, "1 of 19", "7.0, 12.0")


def test_a_lost_sentence_is_a_fault() -> None:
    assert judged(("a", FIRST)).faults == (f"nothing: lost: {SECOND}",)
    assert judged(("a", FIRST), ("b", "the dog has gone")).faults == (f"nothing: lost: {SECOND}",)


def test_a_sentence_twice_is_a_fault() -> None:
    assert judged(("a", FIRST), ("b", SECOND), ("c", FIRST)).faults == (f"nothing: twice: {FIRST}",)
    assert "nothing: 1 transcripts came twice" in judged(("a", FIRST), ("b", SECOND), ("b", SECOND)).faults
