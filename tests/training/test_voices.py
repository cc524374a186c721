"""Synthetic speakers: no voice both trains and judges, and nothing they say besides keywords holds one."""

import shutil

import pytest
from support.espeak import espeak

from edgeaudio.errors import EdgeaudioError
from tools.synth import voices
from tools.synth.keyword_speech import OTHER_SENTENCES, OTHER_WORDS, TAKES, synthetic_words
from tools.training.keyword_data import UNKNOWN, is_synthetic

__all__ = ["espeak"]  # a fixture
RATE = 8000


def test_no_voice_both_trains_and_judges():
    trained = {voice.speaker for voice in voices.training_voices(1000, "en", 1)}
    judging = {voice.speaker for voice in voices.judging_voices("en", 1)}
    assert len(trained) > 100
    assert len(judging) >= 12
    assert not trained & judging
    assert not set(voices.SENTENCES) & set(voices.JUDGING_SENTENCES)


def test_the_first_voices_differ_in_accent_and_variant(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "flite" else program)
    names = [voice.name for voice in voices.training_voices(7, "en", 1)]
    assert len({name.partition("+")[0] for name in names}) == 7
    assert len({name.partition("+")[2] for name in names}) == 7
    assert {voice.name.partition("+")[0] for voice in voices.training_voices(5, "de", 1)} == {"de"}


def test_flite_speaks_too_where_it_is_installed_and_english_is_spoken(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda program: f"/usr/bin/{program}")
    assert {voice.program for voice in voices.training_voices(5, "en", 1)} == {"flite", "espeak-ng"}
    assert {voice.program for voice in voices.training_voices(5, "de", 1)} == {"espeak-ng"}
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(EdgeaudioError, match="flite is not installed: apt install flite"):
        voices.say(voices.Voice("flite", "slt", 1.0, 50), "one", RATE)


def test_flite_that_fails_is_an_error_in_one_line(monkeypatch, tmp_path):
    program = tmp_path / "flite"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    with pytest.raises(EdgeaudioError, match="flite does not read 'one' as slt"):
        voices.say(voices.Voice("flite", "slt", 1.0, 50), "one", RATE)


def test_no_text_holds_a_keyword():
    assert voices.without(["a kettle", "a cat", "Category"], ["cat"]) == ["a kettle"]
    assert voices.without(["please turn on the light"], ["turn_on"]) == []
    assert voices.spoken_text("turn_on") == "turn on"


def test_each_voice_says_every_keyword_and_other_things(espeak, monkeypatch):
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda program: None if program == "flite" else which(program))
    said = list(synthetic_words(["yes", "no"], 1, "en", RATE, 1))
    labels = [entry.label for entry, _ in said]
    assert labels.count("yes") == labels.count("no") == TAKES
    assert labels.count(UNKNOWN) == OTHER_WORDS + OTHER_SENTENCES
    assert all(is_synthetic(entry) and recording.label == entry.label for entry, recording in said)
    assert min(len(recording.samples) for _, recording in said) > 0.1 * RATE
