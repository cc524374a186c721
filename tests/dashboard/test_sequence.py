from hypothesis import given
from hypothesis import strategies as st

from edgeaudio.dashboard.sequence import MAX_GAPS, Gap, Sequence


def arrive(*numbers: int, epoch: str = "a") -> Sequence:
    first, *others = numbers
    sequence = Sequence.begin(epoch, first)
    for number in others:
        sequence = sequence.received(epoch, number, 5.0)
    return sequence


def test_a_new_device_misses_nothing() -> None:
    assert arrive(1207).missing == 0


def test_a_skipped_number_is_a_gap() -> None:
    assert arrive(7, 8, 11).gaps == (Gap(9, 10, 5.0),)


def test_a_late_number_closes_its_gap_and_a_repeated_one_changes_nothing() -> None:
    assert arrive(7, 10, 9).gaps == (Gap(8, 8, 5.0),)
    assert arrive(7, 10, 9, 8) == arrive(7, 8, 9, 10)
    assert arrive(7, 8, 7, 8) == arrive(7, 8)


def test_a_new_outbox_counts_from_one_and_what_was_missing_stays_so() -> None:
    sequence = arrive(7, 9).received("b", 1, 6.0)
    assert (sequence.next_seq, sequence.gaps, sequence.missing) == (2, (), 1)
    assert arrive(7).received("b", 3, 6.0).gaps == (Gap(1, 2, 6.0),)


@given(numbers=st.permutations(range(1, 30)), lost=st.sets(st.integers(1, 29)), again=st.sets(st.integers(1, 29)))
def test_whatever_the_order_exactly_the_lost_numbers_are_missing(
    numbers: list[int], lost: set[int], again: set[int]
) -> None:
    arrived = [number for number in numbers if number not in lost]
    arrived += [number for number in again if number not in lost]
    sequence = Sequence.begin("a", 0)
    for number in arrived:
        sequence = sequence.received("a", number, 1.0)
    missing = {number for gap in sequence.gaps for number in range(gap.first, gap.last + 1)}
    assert missing == {number for number in lost if number < max(arrived, default=0)}
    assert sequence.missing == len(missing)


def test_gaps_are_bounded_and_their_numbers_still_counted() -> None:
    sequence = arrive(*range(1, 1000, 2))
    assert len(sequence.gaps) == MAX_GAPS
    assert sequence.missing == 499
    assert arrive(1, 1 << 52).missing == (1 << 52) - 2
