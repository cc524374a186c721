"""Recordings of words: label, speaker and fold of each, in every layout; and what is refused."""

import pytest

from edgeaudio.errors import EdgeaudioError
from tools.training.keyword_data import UNKNOWN, is_synthetic, keywords_of, read_keywords, synthetic

SPEAKERS = ("ann", "bob", "cleo")


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def folder(tmp_path):
    """`label/speaker_take.wav`, three speakers."""
    touch(
        *(tmp_path / "in" / word / f"{name}_{i}.wav" for word in ("yes", "no") for name in SPEAKERS for i in range(3))
    )
    return tmp_path / "in"


def folds_by_speaker(entries):
    found: dict[str, set[int]] = {}
    for entry in entries:
        found.setdefault(entry.path.stem.split("_")[-2], set()).add(entry.fold)
    return found


def test_every_speaker_is_a_fold(folder):
    entries, names = read_keywords(folder, [], [])
    assert keywords_of(entries) == ("no", "yes")
    assert all(len(folds) == 1 for folds in folds_by_speaker(entries).values())
    assert sorted(names.values()) == list(SPEAKERS)
    assert sorted(names) == [1, 2, 3]


def test_a_flat_folder_has_label_speaker_and_take_in_each_name(tmp_path):
    touch(*(tmp_path / f"{word}_{name}_{i}.wav" for word in ("0", "1") for name in SPEAKERS for i in range(2)))
    entries, names = read_keywords(tmp_path, [], [])
    assert keywords_of(entries) == ("0", "1")
    assert sorted(names.values()) == list(SPEAKERS)
    assert all(len(folds) == 1 for folds in folds_by_speaker(entries).values())


def test_speech_commands_names_are_known(tmp_path):
    touch(*(tmp_path / "yes" / f"{name}_nohash_{i}.wav" for name in ("0a7c", "1b9e") for i in (0, 1)))
    _, names = read_keywords(tmp_path, [], [])
    assert sorted(names.values()) == ["0a7c_nohash", "1b9e_nohash"]


def test_the_noise_of_speech_commands_is_no_keyword(tmp_path):
    touch(*(tmp_path / "yes" / f"{name}_nohash_0.wav" for name in ("0a7c", "1b9e")))
    touch(tmp_path / "_background_noise_" / "doing_the_dishes.wav", tmp_path / "_background_noise_" / "pink.wav")
    entries, names = read_keywords(tmp_path, [], [])
    assert keywords_of(entries) == ("yes",)
    assert len(names) == 2
    assert sum(entry.label is None for entry in entries) == 2


def test_many_speakers_are_dealt_to_five_folds_of_like_size(tmp_path):
    touch(*(tmp_path / "yes" / f"s{n}_{i}.wav" for n in range(13) for i in range(n + 1)))
    entries, names = read_keywords(tmp_path, [], [])
    sizes = [sum(entry.fold == fold for entry in entries) for fold in range(1, 6)]
    assert len(names) == 5
    assert max(sizes) - min(sizes) <= 3
    assert all(len({entry.fold for entry in entries if entry.path.name.startswith(f"s{n}_")}) == 1 for n in range(13))


def test_a_csv_says_who_speaks(folder):
    rows = [f"{word}/{name}_0.wav,{word},{name}" for word in ("yes", "no") for name in SPEAKERS]
    (folder / "words.csv").write_text("file,label,speaker\n" + "\n".join(rows) + "\n")
    entries, names = read_keywords(folder / "words.csv", [], [])
    assert len(entries) == 6
    assert sorted(names.values()) == list(SPEAKERS)


def test_speech_and_sound_without_keywords_are_split_by_folder_and_by_source(folder, tmp_path):
    touch(*(tmp_path / "speech" / person / f"{i}.wav" for person in "abc" for i in range(4)))
    touch(*(tmp_path / "noise" / f"street-{i}.wav" for i in range(3)), tmp_path / "noise" / "rain-0.wav")
    touch(folder / UNKNOWN / "dora_0.wav", folder / "silence" / "attic.wav")
    entries, _ = read_keywords(folder, [tmp_path / "speech"], [tmp_path / "noise"])
    unknown = [entry for entry in entries if entry.label == UNKNOWN]
    quiet = [entry for entry in entries if entry.label is None]
    assert len(unknown) == 13, "those of the data set, of a speaker who says no keyword, too"
    by_person = {entry.path.parent.name: entry.fold for entry in unknown if entry.path.parent.parent.name == "speech"}
    assert sorted(by_person.values()) == [1, 2, 3]
    assert sorted(entry.path.name for entry in quiet) == [
        "attic.wav",
        "rain-0.wav",
        *(f"street-{i}.wav" for i in range(3)),
    ]
    assert len({entry.fold for entry in quiet if entry.path.name.startswith("street")}) == 1
    assert keywords_of(entries) == ("no", "yes")


def test_synthetic_voices_are_never_judged():
    assert is_synthetic(synthetic("espeak-ng-en", "yes", 0))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["yes/0.wav"], "0.wav: its name does not say who speaks; give label/speaker_take.wav files"),
        (["yes_0.wav"], "yes_0.wav: its name does not say who speaks"),
        (["yes/ann_0.wav", "yes/ann_1.wav"], "has one speaker, 'ann'; a model is judged on another's voice"),
        (["unknown/ann_0.wav", "silence/0.wav"], "has no keyword, only unknown and silence"),
        ([], "no recordings there"),
    ],
)
def test_a_folder_that_cannot_be_split_by_speaker_is_refused(tmp_path, files, words):
    touch(*(tmp_path / file for file in files))
    with pytest.raises(EdgeaudioError) as refused:
        read_keywords(tmp_path, [], [])
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"file,label,fold\n", "words.csv: its first line must name the columns file, label, speaker"),
        (b"file,label,speaker\n", "words.csv: names no recording"),
        (b"file,label,speaker\nyes/ann_0.wav,yes,\n", "words.csv:2: speaker is empty"),
        (b"file,label,speaker\ngone.wav,yes,ann\n", "gone.wav: no such recording"),
        (b"file,label,speaker\n\xff,yes,ann\n", "words.csv: is not CSV in UTF-8"),
    ],
)
def test_a_csv_that_is_wrong_is_refused(folder, text, words):
    (folder / "words.csv").write_bytes(text)
    with pytest.raises(EdgeaudioError) as refused:
        read_keywords(folder / "words.csv", [], [])
    assert words in str(refused.value)


def test_a_csv_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(EdgeaudioError, match=r"words\.csv: cannot be read: No such file"):
        read_keywords(tmp_path / "words.csv", [], [])
