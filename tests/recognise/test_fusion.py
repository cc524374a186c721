"""The combination of members' scores."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fused import CLIP
from support.tflite import LABELS

from edgeaudio.recognise.fusion import Combination, MemberOutput
from edgeaudio.recognise.manifest import FuseSection, InputSection, Manifest


def floats(values):
    return np.array(values, np.float32)


QUANTA = (1 / 256, 1 / 256, 0.02)
SECTIONS = (
    FuseSection("one", "1" * 64, {"first": "a", "second": "b"}),
    FuseSection("two", "2" * 64, {"second": "x", "first": "y", "third": "z"}, {"first": 3.0}),
    FuseSection("three", "3" * 64, {"first": "p"}),
)
REPORTED = (("b", "a"), ("x", "y", "z", "not wanted"), ("p",))
MANIFEST = Manifest(
    "fused", "1", LABELS, "0" * 64, CLIP, InputSection("waveform"), groups={"any": ("third", "second")}, fuse=SECTIONS
)
ONE, TWO, THREE = (floats(values) for values in ([0.25, 0.9], [0.5, 0.8, 0.7, 1.0], [0.1]))  # in their own order

scores_of_one = st.floats(0, 1, width=32)


def combination(combine="mean_logit", k=0, fuse=SECTIONS, combine_labels=()):
    outputs = [MemberOutput(*each) for each in zip(REPORTED, QUANTA, strict=True)][: len(fuse)]
    manifest = replace(MANIFEST, combine=combine, k=k, fuse=fuse, combine_labels=dict(combine_labels))
    return Combination(manifest, outputs)


def logit(score):
    return np.log(score / (1 - score))


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


@pytest.mark.parametrize(
    ("combine", "k", "first", "second"),
    [
        ("mean_logit", 0, sigmoid((logit(0.9) + 3 * logit(0.8) + logit(0.1)) / 5), sigmoid((logit(0.25) + 0) / 2)),
        ("mean", 0, (0.9 + 3 * 0.8 + 0.1) / 5, 0.375),
        ("max", 0, 0.9, 0.5),
        ("min", 0, 0.1, 0.25),
        ("k_of_n", 1, 0.9, 0.5),
        ("k_of_n", 2, 0.8, 0.25),
        ("k_of_n", 3, 0.1, 0.25),  # of as many as have the label
    ],
)
def test_scores_are_combined_label_by_label(combine, k, first, second):
    found = combination(combine, k).combined([ONE, TWO, THREE])
    np.testing.assert_allclose(found.values, [first, second, 0.7, max(second, 0.7)], rtol=1e-6)
    assert found.values.dtype == np.float32
    nan = np.nan
    wanted = {"one": [0.9, 0.25, nan, 0.25], "two": [0.8, 0.5, 0.7, 0.7], "three": [0.1, nan, nan, nan]}
    assert [name for name, _ in found.members] == list(wanted)
    for name, scores in found.members:
        np.testing.assert_array_equal(scores, floats(wanted[name]))


def test_a_label_may_be_combined_otherwise_than_the_rest():
    given = [ONE, TWO, THREE]
    mean, highest, lowest = (combination(kind).combined(given).values for kind in ("mean_logit", "max", "min"))
    found = combination(combine_labels={"second": "max"}).combined(given).values
    np.testing.assert_array_equal(found, floats([mean[0], highest[1], 0.7, 0.7]))
    found = combination("max", combine_labels={"first": "k_of_n"}, k=3).combined(given).values
    np.testing.assert_array_equal(found[:2], [lowest[0], highest[1]])


@pytest.mark.parametrize("combine", ["mean_logit", "mean", "max", "min"])
def test_a_score_that_no_other_member_has_is_passed_on_as_it_is(combine):
    for third in (0.0, 1.0, 0.123456):
        two = floats([0.5, 0.8, third, 0.0])
        assert combination(combine).combined([ONE, two, THREE]).values[2] == np.float32(third)


def test_a_member_without_a_score_counts_as_zero_and_a_quantum_limits_what_that_says():
    """Half a quantum of the third member is 0.01, of the others 1/512."""
    values = combination().combined([floats([1, 1]), None, None]).values
    first = (logit(511 / 512) + 3 * logit(1 / 512) + logit(0.01)) / 5
    np.testing.assert_allclose(values[:3], [sigmoid(first), 0.5, 0.0], rtol=1e-6)


@given(scores_of_one, scores_of_one, scores_of_one, st.floats(1 / 128, 1, width=32), st.integers(1, 3))
def test_k_of_n_at_a_threshold_is_counting(one, two, three, threshold, k):
    values = combination("k_of_n", k).combined([floats([0, one]), floats([0, two, 0, 0]), floats([three])])
    assert (values.values[0] >= threshold) == (sum(score >= threshold for score in (one, two, three)) >= k)


@given(scores_of_one, scores_of_one)
def test_a_mean_of_logits_lies_between_the_scores_up_to_the_clamp(one, two):
    two_members = (replace(SECTIONS[0], weights={"first": 0.5}), SECTIONS[1])
    values = combination(fuse=two_members).combined([floats([0, one]), floats([0, two, 0, 0])]).values
    low, high = (min(max(score, 1 / 512), 511 / 512) for score in sorted((one, two)))
    assert low - 1e-6 <= values[0] <= high + 1e-6
