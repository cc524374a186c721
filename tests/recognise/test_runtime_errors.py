"""Errors of the TFLite runtime become one line: the operator, and what to do."""

from pathlib import Path

import pytest
from support.tflite import content_of, manifest_of

from edgeaudio.recognise.interpreter import RUNTIME, ModelError
from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.recognise.model import build_model
from edgeaudio.recognise.runtime_errors import MAX_LENGTH, explained


@pytest.mark.parametrize(
    ("name", "n_samples", "problem"),
    [
        ("others/flex", 16000, (
            f"needs FlexAudioSpectrogram, an operator of TensorFlow itself, which {RUNTIME} has not: convert the model "
            "without SELECT_TF_OPS")),
        ("refused_custom_operator", 120, (
            "needs Betainc, an operator that is not TFLite's own: convert the model without allow_custom_ops, or leave "
            "that operator out of it")),
    ],
)  # fmt: skip
def test_operators_that_the_runtime_lacks_are_named(name, n_samples, problem):
    with pytest.raises(ModelError) as caught:
        build_model(manifest_of("waveform", clip=ClipSection(16000, n_samples)), Path("m"), content_of(name))
    assert str(caught.value) == f"m: {RUNTIME} cannot run it: {problem}"


def test_operators_newer_than_the_runtime_are_named():
    error = ValueError(
        "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version of this builtin might be "
        "supported. Are you using an old TFLite binary with a newer model?\nRegistration failed.\n"
    )
    assert explained(error, "tflite-runtime") == (
        "needs FULLY_CONNECTED in version 12, which tflite-runtime has not: convert the model with an older "
        "TensorFlow, or run it with a newer runtime"
    )


NODE = "Node number 3 (CONV_2D) failed to prepare."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kernels/conv.cc:5 a != b\nwas not true." + NODE, f"kernels/conv.cc:5 a != b was not true. {NODE}"),
        (f"See https://x/ops{NODE}See https://x/ops{NODE}", f"See https://x/ops {NODE}"),
        ("One. " + "Two words. " * 90 + NODE, f"One. Two words. {NODE}"),
        ("word " * 999, "word " * 99 + "..."),
    ],
)  # fmt: skip
def test_no_sentence_is_cut_in_the_middle(text, expected):
    told = explained(RuntimeError(text), RUNTIME)
    assert told == expected
    assert len(told) <= MAX_LENGTH


def test_of_too_many_sentences_the_first_and_the_last_are_kept():
    told = explained(RuntimeError(" ".join(f"Sentence {i}." for i in range(99)) + NODE), RUNTIME)
    assert told.startswith("Sentence 0. Sentence 1. ")
    assert told.endswith(f". {NODE}")
    assert MAX_LENGTH - 50 < len(told) <= MAX_LENGTH
