"""Folds never share a source, and a wrong list is refused by its line."""

from collections import Counter, defaultdict

import numpy as np
import pytest

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.feature_config import FeatureConfig
from tools.training.dataset import N_FOLDS, folds_of, labels_of, read_dataset, source_of
from tools.training.recordings import Recording
from tools.training.training_data import TrainingData


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_folds_in_the_names_are_kept(tmp_path):
    touch(tmp_path, "dog/1-100-A.wav", "dog/2-101-A.wav", "rain/4-7-B.ogg")
    entries = read_dataset(tmp_path, [], seed=1)
    assert [(entry.label, entry.fold) for entry in entries] == [("dog", 1), ("dog", 2), ("rain", 4)]
    assert labels_of(entries) == ("dog", "rain")


def test_folds_that_are_made_are_even_and_keep_sources_together(tmp_path):
    names = [
        f"{label}/{label}{source}_{take}.wav" for label in ("dog", "rain") for source in range(20) for take in range(3)
    ]
    touch(tmp_path, *names)
    entries = read_dataset(tmp_path, [], seed=3)
    folds_of_source = defaultdict(set)
    for entry in entries:
        folds_of_source[entry.label, source_of(entry.path)].add(entry.fold)
    assert all(len(folds) == 1 for folds in folds_of_source.values())
    for label in ("dog", "rain"):
        sizes = Counter(entry.fold for entry in entries if entry.label == label)
        assert set(sizes) == set(range(1, N_FOLDS + 1))
        assert max(sizes.values()) - min(sizes.values()) <= 3
    assert read_dataset(tmp_path, [], seed=3) == entries


def test_negatives_carry_no_label_and_are_spread(tmp_path):
    touch(tmp_path, "good/dog/1-1-A.wav", "good/dog/2-2-A.wav", *(f"bad/{i}.wav" for i in range(4)))
    entries = read_dataset(tmp_path / "good", [tmp_path / "bad"], seed=1)
    assert Counter((entry.label, entry.fold) for entry in entries if entry.label is None) == {
        (None, 1): 2,
        (None, 2): 2,
    }
    assert labels_of(entries) == ("dog",)


def test_a_list_is_read(tmp_path):
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "list.csv").write_text("file,label,fold\na.wav,dog,1\nb.wav,,2\n")
    entries = read_dataset(tmp_path / "list.csv", [], seed=1)
    assert [(entry.path.name, entry.label, entry.fold) for entry in entries] == [
        ("a.wav", "dog", 1),
        ("b.wav", None, 2),
    ]


def test_what_is_always_trained_on_is_no_fold(tmp_path):
    touch(tmp_path, "a.wav", "b.wav", "c.wav", "other/d.wav")
    (tmp_path / "list.csv").write_text("file,label,fold,fixed\na.wav,dog,2,no\nb.wav,beep,0,yes\nc.wav,,0,\n")
    entries = read_dataset(tmp_path / "list.csv", [tmp_path / "other"], seed=1)
    assert folds_of(entries) == [2]
    assert [(entry.fold, entry.fixed) for entry in entries] == [(2, False), (0, True), (0, False), (2, False)]


def test_what_is_not_judged_is_left_out_with_its_fold_and_not_tested_on(tmp_path):
    touch(tmp_path, "a.wav", "b.wav", "c.wav", "d.wav")
    lines = ["file,label,fold,judged", "a.wav,dog,1,yes", "b.wav,dog,1,no", "c.wav,dog,2,", "d.wav,,1,yes"]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    entries = read_dataset(tmp_path / "list.csv", [], seed=1)
    recordings = [Recording(entry.path, "", np.zeros(9, np.float32)) for entry in entries]
    data = TrainingData(entries, recordings, labels_of(entries), FeatureConfig("mfcc", 16_000, 512, 256, 40))
    assert [(recording.path.name, recording.label) for recording in data.held_out(1)] == [("a.wav", "dog")]
    assert [recording.path.name for recording in data.seen(1)] == ["c.wav"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,label\na.wav,dog\n", "first line must name the columns file, label, fold"),
        ("file,label,fold\nnone.wav,dog,1\n", r"list\.csv:2: .*none\.wav: no such recording"),
        ("file,label,fold\na.wav,dog,one\n", r"list\.csv:2: fold 'one' is not a whole number"),
        ("file,label,fold\n", "names no recording"),
        ("file,label,fold,fixed\na.wav,dog,1,maybe\n", r"list\.csv:2: fixed is 'maybe'; give yes or no"),
        ("file,label,fold,judged\na.wav,dog,1,0\n", r"list\.csv:2: judged is '0'; give yes or no"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path, text, words):
    touch(tmp_path, "a.wav")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(EdgeaudioError, match=words):
        read_dataset(tmp_path / "list.csv", [], seed=1)


def test_a_missing_list_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(EdgeaudioError, match="cannot be read"):
        read_dataset(tmp_path / "none.csv", [], seed=1)
    with pytest.raises(EdgeaudioError, match="no recordings there"):
        read_dataset(tmp_path, [], seed=1)


def test_the_seed_decides(tmp_path):
    touch(tmp_path, *(f"dog/dog{source}_0.wav" for source in range(40)))
    first, second = (np.array([e.fold for e in read_dataset(tmp_path, [], seed=seed)]) for seed in (1, 2))
    assert (first != second).any()


def test_a_csv_in_another_encoding_is_refused_in_one_line(tmp_path):
    data = tmp_path / "data.csv"
    data.write_bytes("file,label,fold\nhühner.wav,hühner,1\n".encode("latin-1"))
    with pytest.raises(EdgeaudioError, match=r"data\.csv: is not CSV in UTF-8"):
        read_dataset(data, [], 0)
