"""The transcriber: each utterance is recognised once, whatever the recogniser does; nothing of it is in the log."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest
from support.spoken import said
from support.waiting import wait_until

from edgeaudio.agent import transcriber
from edgeaudio.agent.transcriber import MAX_TEXT, Transcriber
from edgeaudio.backoff import Backoff
from edgeaudio.health.report import TranscriptNumbers
from edgeaudio.outbox.outbox import Outbox
from edgeaudio.outbox.transcript_journal import TranscriptJournal
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.sinks.transcripts import turns
from edgeaudio.sinks.transcripts.errors import TranscriptsError
from edgeaudio.sinks.transcripts.utterance_file import QueuedUtterance
from edgeaudio.sinks.transcripts.utterance_queue import UtteranceQueue
from edgeaudio.speech.recogniser import RecogniserError, Recognition
from edgeaudio.types import Message, Samples, Transcript

SECRET = "the key is under the mat"


class Recogniser:
    """Answers by `answer`, which is handed the first sample of an utterance, in tenths, rounded."""

    name = "double"

    def __init__(self, answer: Callable[[int], Recognition]) -> None:
        self.answer = answer
        self.asked: list[int] = []
        self.closed = threading.Event()

    def recognise(self, samples: Samples) -> Recognition:
        number = round(10 * float(samples[0]))
        self.asked.append(number)
        return self.answer(number)

    def close(self) -> None:
        self.closed.set()


class Bench:
    """A transcriber, its queue and its journal."""

    def __init__(self, folder: Path, outbox: Outbox) -> None:
        self.queue = UtteranceQueue(folder / "utterances", max_bytes=10**8, max_age_s=1e9, min_free_bytes=0)
        self.queue.open(["porch"])
        self.recogniser = Recogniser(lambda number: Recognition(f"sentence {number}", "en", 0.5))
        self.sift: Callable[[Recognition], Recognition] = lambda found: found
        self.committed: list[Transcript] = []
        self.changes = 0

        def encode(transcript: Transcript) -> Message:
            self.committed.append(transcript)
            return messages.transcript(Topics("edgeaudio", "dock"), transcript)

        self.journal = TranscriptJournal(outbox, encode)
        self.transcriber = Transcriber(self.queue, self.recogniser, self._sifted, self.journal, self._changed)

    def put(self, *numbers: int) -> None:
        for number in numbers:
            self.queue.put(str(UUID(int=number)), said(after_s=number, value=number / 10))

    @property
    def texts(self) -> list[str]:
        return [transcript.text for transcript in self.committed]

    def numbers(self) -> TranscriptNumbers:
        return self.transcriber.numbers(("porch",), 0)

    def _sifted(self, found: Recognition) -> Recognition:
        return self.sift(found)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setattr(turns, "Backoff", lambda _first_s, _last_s: Backoff(0.01, 0.02))
    with closing(Outbox(tmp_path / "outbox.sqlite")) as outbox:
        yield Bench(tmp_path, outbox)


@contextmanager
def running(bench: Bench) -> Iterator[None]:
    thread = threading.Thread(target=bench.transcriber.run)
    thread.start()
    try:
        yield
    finally:
        bench.transcriber.stop()
        thread.join(10)
        assert not thread.is_alive()


def is_empty(bench: Bench) -> bool:
    return not bench.queue.ids()


def test_what_waits_and_what_comes_is_recognised_in_order_and_removed(bench: Bench, tmp_path: Path) -> None:
    bench.put(1, 2)
    with running(bench):
        wait_until(partial(is_empty, bench))
        bench.put(3)
        wait_until(partial(is_empty, bench))
        wait_until(lambda: bench.numbers().sent == 3)
    assert bench.texts == ["sentence 1", "sentence 2", "sentence 3"]
    first = bench.committed[0]
    assert (first.id, first.source, first.duration_s, first.language, first.confidence, first.recogniser) == (
        str(UUID(int=1)), "porch", 0.5, "en", 0.5, "double",
    )  # fmt: skip
    assert list((tmp_path / "utterances").iterdir()) == []


def test_while_the_broker_is_away_utterances_wait_and_leave_the_outbox_to_detections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcriber, "_LOOK_AGAIN_S", 0.01)
    with closing(Outbox(tmp_path / "outbox.sqlite", max_messages=4)) as outbox:
        bench = Bench(tmp_path, outbox)
        bench.put(1, 2, 3)
        with running(bench):
            wait_until(lambda: bench.numbers().trouble == transcriber.HELD_UP)
            assert bench.texts == ["sentence 1", "sentence 2"]
            assert bench.numbers().waiting == 1
            outbox.delete([stored.seq for stored in outbox.pending(4)])  # the broker is back
            wait_until(partial(is_empty, bench))
            wait_until(lambda: bench.numbers().trouble == "")
        assert bench.texts == ["sentence 1", "sentence 2", "sentence 3"]


def test_a_recogniser_that_is_away_is_said_and_nothing_is_lost(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answer = bench.recogniser.answer

    def away(_number: int) -> Recognition:
        raise RecogniserError("recogniser wyoming://10.0.0.1:10300: connection refused")

    bench.recogniser.answer = away
    bench.put(1, 2, 3)
    with running(bench):
        wait_until(lambda: bench.numbers().failures > 5)
        numbers = bench.numbers()
        assert numbers.trouble == "recogniser wyoming://10.0.0.1:10300: connection refused"
        assert (numbers.waiting, numbers.sent) == (3, 0)
        bench.recogniser.answer = answer
        wait_until(partial(is_empty, bench))
        wait_until(lambda: not bench.numbers().trouble)
    assert sorted(bench.texts) == ["sentence 1", "sentence 2", "sentence 3"]
    assert bench.changes == 2
    assert [record.getMessage() for record in caplog.records] == [
        "utterances wait for the recogniser: recogniser wyoming://10.0.0.1:10300: connection refused",
        "the recogniser answers again; 2 utterances wait",
    ]


def test_one_that_is_refused_for_good_is_given_up_at_once(bench: Bench) -> None:
    def refuse_two(number: int) -> Recognition:
        if number == 2:
            raise RecogniserError("HTTP 413: too long", is_final=True)
        return Recognition(f"sentence {number}")

    bench.recogniser.answer = refuse_two
    bench.put(1, 2, 3)
    with running(bench):
        wait_until(partial(is_empty, bench))
        wait_until(lambda: bench.numbers().sent == 2)
    assert bench.texts == ["sentence 1", "sentence 3"]
    assert bench.recogniser.asked == [1, 2, 3]
    assert (bench.numbers().refused, bench.numbers().trouble) == (1, "")


def test_one_over_which_the_recogniser_fails_does_not_hold_up_the_others(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_one(number: int) -> Recognition:
        if number == 1:
            raise RecogniserError("it ended the connection")
        return Recognition(f"sentence {number}")

    bench.recogniser.answer = fail_one
    bench.put(1, 2, 3)
    with running(bench):
        for number in (4, 5):
            wait_until(lambda: bench.recogniser.asked.count(1) > 1)
            bench.recogniser.asked.clear()
            bench.put(number)
        wait_until(partial(is_empty, bench))
        wait_until(lambda: bench.numbers().refused)
    assert bench.texts == [f"sentence {number}" for number in range(2, 6)]
    # each time that others succeed the trouble is over, and is not logged anew
    assert sum("utterances wait" in record.getMessage() for record in caplog.records) == 1


def test_none_is_given_up_because_its_recogniser_was_away_at_times(bench: Bench) -> None:
    def at_times(number: int) -> Recognition:
        if len(bench.recogniser.asked) % 2:
            raise RecogniserError("nothing listens on that port", is_for_all=True)
        return Recognition(f"sentence {number}")

    bench.recogniser.answer = at_times
    bench.put(*range(1, 10))
    with running(bench):
        wait_until(partial(is_empty, bench))
        wait_until(lambda: bench.numbers().sent == 9)
    assert bench.numbers().refused == 0


def test_what_cannot_be_read_for_a_moment_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    take, refused = bench.queue.take, [3]

    def refuse(utterance_id: str) -> QueuedUtterance | None:
        if refused[0]:
            refused[0] -= 1
            raise TranscriptsError("an utterance cannot be read: Too many open files")
        return take(utterance_id)

    monkeypatch.setattr(bench.queue, "take", refuse)
    bench.put(1, 2)
    with running(bench):
        wait_until(lambda: bench.numbers().sent == 2)
    assert sorted(bench.texts) == ["sentence 1", "sentence 2"]
    assert bench.numbers().failures == 3


def test_a_client_with_a_fault_is_a_failure_and_its_message_is_not_shown(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def broken(_number: int) -> Recognition:
        raise ValueError(SECRET)

    bench.recogniser.answer = broken
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().failures > 1)
    assert bench.numbers().trouble == "unexpected ValueError in its client"
    assert SECRET not in caplog.text


@pytest.mark.parametrize("answer", [Recognition(None), Recognition("yes", 5), Recognition("yes", None, "sure"), None])  # type: ignore[arg-type]
def test_an_answer_of_the_wrong_type_ends_nothing(answer: Recognition, bench: Bench) -> None:
    bench.recogniser.answer = lambda _number: answer
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().failures > 1)
    assert bench.numbers().trouble.startswith("unexpected ")
    assert bench.texts == []


def test_the_text_is_in_no_line_of_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench.recogniser.answer = lambda _number: Recognition(SECRET)
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().sent)
    assert bench.texts == [SECRET]
    assert SECRET not in caplog.text
    assert caplog.records  # something is logged


def test_nothing_said_and_what_was_invented_is_not_sent_and_is_counted(bench: Bench) -> None:
    texts = {1: "", 2: "Thank you for watching!", 3: " \n"}
    bench.recogniser.answer = lambda number: Recognition(texts[number])
    bench.sift = lambda found: Recognition("") if "watching" in found.text else found
    bench.put(1, 2, 3)
    with running(bench):
        wait_until(partial(is_empty, bench))
        wait_until(lambda: bench.numbers().empty == 3)
    assert bench.texts == []
    assert bench.numbers().invented == 1


@pytest.mark.parametrize(
    ("found", "text"),
    [
        ("  two\n lines\t ", "two lines"),
        ("a\x1b[31m\x00b", "a [31m b"),
        ("x" * 10 * MAX_TEXT, "x" * (MAX_TEXT - 1) + "…"),
        ("語" * MAX_TEXT, "語" * MAX_TEXT),
        ("\u202eright to left", "right to left"),
        ("lone \udc80", "lone"),
        # a joiner is spelling: without it these are other words, or none
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        ("co\u00adoperate\ufeff", "cooperate"),
    ],
)
def test_text_is_bounded_and_can_be_printed(found: str, text: str, bench: Bench) -> None:
    bench.recogniser.answer = lambda _number: Recognition(found)
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().sent)
    assert bench.texts == [text]
    assert messages.transcript(Topics("edgeaudio", "dock"), bench.committed[0]).size < 10_000


@pytest.mark.parametrize(("found", "kept"), [(1.5, 1.0), (-1.0, 0.0), (math.nan, None), (None, None), (0.25, 0.25)])
def test_a_confidence_is_from_0_to_1(found: float | None, kept: float | None, bench: Bench) -> None:
    bench.recogniser.answer = lambda _number: Recognition("yes", None, found)
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().sent)
    assert bench.committed[0].confidence == kept


def test_what_was_committed_before_a_kill_is_not_recognised_again(bench: Bench, tmp_path: Path) -> None:
    bench.put(1, 2)
    utterance = bench.queue.take(str(UUID(int=1)))
    assert utterance is not None
    bench.journal.commit(
        Transcript(utterance.id, "porch", utterance.at, 0.5, "sentence 1", None, None, "double")
    )  # and the process was killed here
    with running(bench):
        wait_until(partial(is_empty, bench))
        wait_until(lambda: bench.numbers().sent)
    assert bench.recogniser.asked == [2]
    assert bench.texts == ["sentence 1", "sentence 2"]
    assert list((tmp_path / "utterances").iterdir()) == []


def test_after_a_stop_nothing_is_committed_and_what_was_asked_waits(bench: Bench) -> None:
    begun, may_go = threading.Event(), threading.Event()

    def slowly(number: int) -> Recognition:
        begun.set()
        assert may_go.wait(10)
        return Recognition(f"sentence {number}")

    bench.recogniser.answer = slowly
    bench.put(1)
    thread = threading.Thread(target=bench.transcriber.run)
    thread.start()
    assert begun.wait(10)
    bench.transcriber.stop()  # the outbox may be closed from now on
    assert bench.recogniser.closed.is_set()
    may_go.set()
    thread.join(10)
    assert (bench.texts, len(bench.queue.ids())) == ([], 1)


def test_what_is_taken_away_while_the_recogniser_has_it_is_not_said(bench: Bench) -> None:
    """A person who turns transcribing off does not want to read what was said before."""

    def taken_away(number: int) -> Recognition:
        if number == 1:
            bench.queue.keep_only(["attic"])
            bench.put(2)
        return Recognition(f"sentence {number}")

    bench.recogniser.answer = taken_away
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().sent)
        wait_until(partial(is_empty, bench))
    assert bench.texts == ["sentence 2"]
    assert bench.numbers().failures == 0


def test_one_that_fails_alone_is_dropped_with_age(bench: Bench) -> None:
    """A recogniser that is away for days keeps no sound beyond its time."""

    def away(_number: int) -> Recognition:
        raise RecogniserError("away")

    bench.recogniser.answer = away
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().failures > 1)
        bench.queue._max_age_s = 0.0

        def is_expired() -> bool:
            bench.queue.expire()
            return is_empty(bench)

        wait_until(is_expired)
        failures = bench.numbers().failures
        bench.recogniser.answer = lambda number: Recognition(f"sentence {number}")
        bench.queue._max_age_s = 1e9
        bench.put(2)
        wait_until(lambda: bench.numbers().sent)
    assert (bench.texts, bench.numbers().dropped) == (["sentence 2"], 1)
    assert failures > 1


def test_a_stop_that_comes_a_moment_before_the_recogniser_is_asked_ends_that_too(bench: Bench) -> None:
    """`close` ends a call in progress, and there is none yet: who stops closes again."""
    asked, stopped = threading.Event(), threading.Event()

    def slow_to_begin(_number: int) -> Recognition:
        asked.set()
        assert stopped.wait(10)
        bench.recogniser.closed.clear()  # what came before this call does not end it
        assert bench.recogniser.closed.wait(10)
        raise RecogniserError("closed")

    bench.recogniser.answer = slow_to_begin
    bench.put(1)
    thread = threading.Thread(target=bench.transcriber.run)
    thread.start()
    assert asked.wait(10)
    bench.transcriber.stop()
    stopped.set()
    bench.transcriber.join(thread, time.monotonic() + 5)
    assert not thread.is_alive()


def test_words_of_the_recogniser_that_change_make_no_line_each(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_number: int) -> Recognition:
        raise RecogniserError(f"it answers 500 (request {len(bench.recogniser.asked)} (failed)); look at its log")

    bench.recogniser.answer = fail
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.numbers().failures > 5)
    assert len(caplog.records) == 1


def test_a_call_that_the_stop_ended_counts_as_no_failure(bench: Bench) -> None:
    def until_closed(_number: int) -> Recognition:
        assert bench.recogniser.closed.wait(10)
        raise RecogniserError("closed")

    bench.recogniser.answer = until_closed
    bench.put(1)
    with running(bench):
        wait_until(lambda: bench.recogniser.asked)
    assert (bench.numbers().failures, bench.numbers().trouble) == (0, "")
