"""Utterances: their spans from probabilities, and their sound and times from Blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples
from support.golden_speech import SPEECH

from edgeaudio.recognise import utterances as module
from edgeaudio.recognise.utterances import Cutter, UtterancePipeline
from edgeaudio.types import Block, Channel, Samples, Utterance

AT = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOP_S = 0.032


def spans(*probabilities: float) -> list[tuple[int, int]]:
    cutter = Cutter()
    found = [span for probability in probabilities for span in cutter.feed(probability)]
    return found + list(cutter.flush())


def test_speech_has_sound_around_it() -> None:
    assert spans(*[0.0] * 20, *[0.9] * 10, *[0.0] * 30) == [(11, 39)]


def test_at_the_edges_there_is_less_around_it() -> None:
    assert spans(*[0.9] * 10, *[0.0] * 5) == [(0, 15)]


def test_what_is_too_short_is_no_utterance() -> None:
    assert spans(*[0.0] * 20, *[0.9] * 7, *[0.0] * 30) == []


def test_a_pause_under_half_a_second_is_in_an_utterance() -> None:
    assert spans(*[0.9] * 10, *[0.0] * 15, *[0.9] * 10, *[0.0] * 30) == [(0, 44)]
    assert spans(*[0.9] * 10, *[0.0] * 16, *[0.9] * 10, *[0.0] * 30) == [(0, 19), (19, 45)]


def test_what_is_neither_does_not_end_an_utterance_at_once() -> None:
    assert spans(*[0.9] * 10, *[0.4] * 20, *[0.0] * 30) == [(0, 39)]
    assert spans(*[0.9] * 10, *[0.4] * 30, *[0.9] * 10, *[0.0] * 30) == [(0, 59)]
    assert spans(*[0.4] * 60) == []


def test_murmur_does_not_keep_an_utterance_open() -> None:
    doubt, murmur, pad = module._DOUBT, module._MURMUR, module._PAD
    cutter = Cutter()
    found = [(hop, span) for hop, p in enumerate([0.9] * 10 + [0.4] * 900) for span in cutter.feed(p)]
    assert found == [(9 + doubt, (0, 10 + murmur + pad))]
    assert list(cutter.flush()) == []


def test_only_a_second_of_murmur_is_before_speech_and_behind_it() -> None:
    murmur, pad = module._MURMUR, module._PAD
    assert spans(*[0.4] * 3000, *[0.9] * 10, *[0.4] * 100) == [(3000 - murmur - pad, 3010 + murmur + pad)]


def test_murmur_needs_no_sound_but_of_a_second() -> None:
    cutter = Cutter()
    for _ in range(3000):
        assert not list(cutter.feed(0.4))
    assert 3000 - cutter.needed_from == module._MURMUR + module._PAD


def test_a_long_one_is_split_where_speech_was_least_likely() -> None:
    longest = module._LONGEST
    found = spans(*[0.9] * 600, 0.6, *[0.9] * 900, *[0.0] * 30)
    assert found[:2] == [(0, 600), (600, found[1][1])]
    assert all(end - begin <= longest for begin, end in found)


def test_a_short_word_after_the_split_is_not_lost() -> None:
    longest, silence = module._LONGEST, [0.0] * 30
    found = spans(*[0.9] * (longest - 7), 0.3, *[0.9] * 6, *silence)
    assert found == [(0, longest - 7), (longest - 7, longest + module._PAD)]
    # where only murmur follows, a moment of it is no word
    murmur = [0.4] * (module._MURMUR + 10)
    assert spans(*[0.9] * (longest - 7), *[0.3] * 7, *murmur, 0.6, *silence)[1:] == []


@given(st.lists(st.sampled_from([0.0, 0.1, 0.4, 0.5, 0.9]), max_size=3000))
def test_utterances_are_in_order_bounded_and_apart(probabilities: list[float]) -> None:
    found = spans(*probabilities)
    assert all(0 <= begin < end <= len(probabilities) and end - begin <= module._LONGEST for begin, end in found)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(found))


def blocks(
    samples: Samples, lengths: Iterable[int], rate: int = 16_000, *, epoch: int = 0, at: datetime = AT
) -> Iterator[Block]:
    offset = 0
    for length in lengths:
        piece = samples[offset : offset + length]
        if len(piece):
            yield Block("porch", epoch, offset, at + timedelta(seconds=offset / rate), rate, piece)
        offset += length


def cut(*fed: Block, channel: Channel = "mix") -> list[Utterance]:
    pipeline = UtterancePipeline(channel)
    return [each for block in fed for each in pipeline.feed(block)] + list(pipeline.flush())


WHOLE = [(each.offset_s, each.samples.tobytes()) for each in cut(*blocks(SPEECH, [len(SPEECH)]))]


def test_an_utterance_is_the_sound_of_its_span() -> None:
    found = cut(*blocks(SPEECH, [len(SPEECH)]))
    assert found
    for each in found:
        first = round(each.offset_s * 16_000)
        assert each.samples.tobytes() == SPEECH[first : first + len(each.samples)].tobytes()
        assert abs((each.at - AT).total_seconds() - each.offset_s) < 1e-5
        assert (each.source, each.epoch) == ("porch", 0)


@settings(max_examples=examples(8))
@given(st.lists(st.integers(1, 40_000), min_size=1, max_size=20))
def test_how_the_sound_is_split_changes_no_bit(lengths: list[int]) -> None:
    split = cut(*blocks(SPEECH, [*lengths, len(SPEECH)]))
    assert [(each.offset_s, each.samples.tobytes()) for each in split] == WHOLE
    # a Block's time is in whole microseconds
    assert all(abs((each.at - AT).total_seconds() - each.offset_s) < 2e-6 for each in split)


def test_at_another_rate_its_time_is_right() -> None:
    found = cut(*blocks(np.repeat(SPEECH, 3), [100_000] * 4, 48_000))
    wanted = cut(*blocks(SPEECH, [len(SPEECH)]))
    assert [each.offset_s for each in found] == pytest.approx([each.offset_s for each in wanted], abs=0.1)
    assert [each.duration_s for each in found] == pytest.approx([each.duration_s for each in wanted], abs=0.2)


def test_nothing_is_joined_over_a_hole() -> None:
    offset_s, sound = WHOLE[0]
    middle = round(offset_s * 16_000) + len(sound) // 4 // 2  # of the first utterance
    before = list(blocks(SPEECH[:middle], [middle]))
    after = list(blocks(SPEECH[middle:], [len(SPEECH)], epoch=1, at=AT + timedelta(seconds=60)))
    found = cut(*before, *after)
    assert {each.epoch for each in found} == {0, 1}
    for each in found:
        end_s = (each.at - AT).total_seconds() + each.duration_s
        assert end_s <= middle / 16_000 + 1e-5 or each.at >= AT + timedelta(seconds=60)


def test_a_hole_within_an_epoch_is_one_too_and_so_is_another_rate() -> None:
    offset_s, sound = WHOLE[0]
    middle = round(offset_s * 16_000) + len(sound) // 4 // 2
    (before,), (after,) = blocks(SPEECH[:middle], [middle]), blocks(SPEECH[middle:], [len(SPEECH)])
    apart = [*cut(before), *cut(after)]
    for hole in (
        replace(after, offset=middle + 16_000, at=AT + timedelta(seconds=middle / 16_000 + 1)),
        replace(after, offset=middle, sample_rate=16_001),
    ):
        found = cut(before, hole)
        assert [len(each.samples) for each in found] == pytest.approx([len(each.samples) for each in apart], abs=2000)
        assert found[len(cut(before))].at >= hole.at


@pytest.mark.parametrize("dc", [0.03, -0.1])
def test_quiet_speech_is_found_beside_dc(dc: float) -> None:
    quiet = np.pad(SPEECH * np.float32(0.01), 16_000)
    wanted = cut(*blocks(quiet, [len(quiet)]))
    found = cut(*blocks(quiet + np.float32(dc), [len(quiet)]))
    assert wanted
    assert [each.offset_s for each in found] == pytest.approx([each.offset_s for each in wanted], abs=0.3)
    assert [each.duration_s for each in found] == pytest.approx([each.duration_s for each in wanted], abs=0.6)


@pytest.mark.parametrize("gain_db", [-40, -20])
def test_speech_is_found_at_any_level(gain_db: float) -> None:
    found = cut(*blocks(SPEECH * np.float32(10 ** (gain_db / 20)), [len(SPEECH)]))
    wanted = cut(*blocks(SPEECH, [len(SPEECH)]))
    assert [each.offset_s for each in found] == pytest.approx([each.offset_s for each in wanted], abs=0.2)
    assert [each.duration_s for each in found] == pytest.approx([each.duration_s for each in wanted], abs=0.3)


def test_one_channel_can_be_chosen() -> None:
    both = np.stack([np.zeros_like(SPEECH), SPEECH], axis=1)
    assert cut(*blocks(both, [len(both)]), channel=1) == []
    assert [each.samples.tobytes() for each in cut(*blocks(both, [len(both)]), channel=2)] == [
        each.samples.tobytes() for each in cut(*blocks(SPEECH, [len(SPEECH)]))
    ]
