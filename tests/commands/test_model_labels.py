"""Labels as everybody's programs write them."""

import codecs
import json

import pytest

from edgeaudio.commands.model.labels import distinct_labels, read_labels
from edgeaudio.errors import EdgeaudioError
from edgeaudio.slugs import slugify

BIRDS = ["Turdus merula_Eurasian Blackbird", "Engine_Engine", "Strix aluco_Tawny Owl"]


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("labels.txt", "dog\n\n glass  break \n", ["dog", "glass break"]),
        ("labels.txt", "dog\r\ncat\r\n", ["dog", "cat"]),
        ("labels.txt", "dog\rcat", ["dog", "cat"]),
        ("labels.txt", "dog\u2028bark\ncat\x0b", None),  # a vertical tab is no line end, and no text
        ("labels.txt", "dog\u2028bark\ncat", ["dog bark", "cat"]),
        ("labels.txt", "[noise]\n[music]\n", ["[noise]", "[music]"]),
        ("labels.txt", "Child speech, kid speaking\nBabbling\n", ["Child speech, kid speaking", "Babbling"]),
        # Teachable Machine, and others that number
        ("labels.txt", "0 Background Noise\n1 no\n2 yes\n", ["Background Noise", "no", "yes"]),
        ("labels.txt", "1: dog\n2: cat", ["dog", "cat"]),
        ("labels.txt", "0\tdog\n10\tant\n2\tcat\n" + "".join(f"{i}\tl{i}\n" for i in (1, *range(3, 10))),
         ["dog", "l1", "cat", *(f"l{i}" for i in range(3, 10)), "ant"]),
        ("labels.txt", "1 person\n2 person\n", ["1 person", "2 person"]),
        ("labels.txt", "0 dog\n5 cat\n", ["0 dog", "5 cat"]),
        ("labels.txt", "0\n1\n2\n", ["0", "1", "2"]),
        # BirdNET
        ("labels.txt", "\n".join(BIRDS), ["Eurasian Blackbird", "Engine", "Tawny Owl"]),
        ("labels.txt", "smoke_alarm\nco_alarm\n", ["smoke_alarm", "co_alarm"]),
        ("labels.txt", "Turdus merula_Bird\nStrix aluco_Bird\n", ["Bird (Turdus merula)", "Bird (Strix aluco)"]),
        # tables
        ("class_map.csv", 'index,mid,display_name\n0,/m/1,Speech\n1,/m/2,"Child, kid"\n', ["Speech", "Child, kid"]),
        ("class_map.txt", "index,mid,display_name\n1,/m/2,Cat\n0,/m/1,Speech\n", ["Speech", "Cat"]),
        ("semicolons.csv", "Index;Label\n0;Hund\n1;Katze\n", ["Hund", "Katze"]),
        ("labels.tsv", "label\tid\ndog\t1\ncat\t0\n", ["cat", "dog"]),
        ("plain.csv", "1,cat\n0,dog\n", ["dog", "cat"]),
        ("plain.csv", "dog\ncat\n", ["dog", "cat"]),
        ("empty.csv", "", []),
        ("named.csv", "name\n\ndog\n", ["dog"]),
        # JSON
        ("labels.json", '["dog", "cat"]', ["dog", "cat"]),
        ("labels.txt", '["dog", "cat"]', ["dog", "cat"]),
        ("labels.json", '{"1": "cat", "0": "dog"}', ["dog", "cat"]),
        ("class_indices.json", '{"cat": 1, "dog": 0}', ["dog", "cat"]),
        ("metadata.json", '{"tfjsVersion": "1.3", "wordLabels": ["Noise", "no"]}', ["Noise", "no"]),
        ("config.json", '{"id2label": {"0": "dog", "1": "cat"}, "label2id": {"dog": 0}}', ["dog", "cat"]),
        ("list.json", '[{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}]', ["dog", "cat"]),
        ("list.json", '[{"id": 2, "name": "cat"}, {"id": 1, "name": "dog"}]', ["dog", "cat"]),
        ("list.json", '[{"index": "1", "label": "cat"}, {"index": "0", "label": "dog"}]', ["dog", "cat"]),
        ("list.json", '[{"id": "b", "name": "dog"}, {"id": "a", "name": "cat"}]', ["dog", "cat"]),
        ("empty.json", "[]", []),
    ],
)  # fmt: skip
def test_formats(name, text, labels):
    if labels is None:
        with pytest.raises(EdgeaudioError, match=r"is not text: it holds the control character '\\x0b'$"):
            read_labels(name, text.encode())
    else:
        assert read_labels(name, text.encode()).names == labels


@pytest.mark.parametrize(
    "data",
    [
        "bär\nöl\n".encode(),
        "bär\nöl\n".encode("utf-8-sig"),
        "bär\nöl\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "bär\nöl\n".encode("utf-16-be"),
        "bär\nöl\n".encode("utf-32"),
        "bär\nöl\n".encode("cp1252"),
    ],
)
def test_encodings(data):
    assert read_labels("l.txt", data).names == ["bär", "öl"]


def test_what_is_assumed_is_said():
    assert read_labels("l.txt", "bär".encode("cp1252")).guesses == [
        "labels: l.txt is not UTF-8, so it was read as Windows-1252"
    ]
    assert read_labels("l.txt", "\n".join(BIRDS).encode()).guesses == [
        "labels: the common names in l.txt, which has them as in 'Turdus merula_Eurasian Blackbird'"
    ]
    assert read_labels("l.txt", b"dog").guesses == []


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("l.txt", b"dog\n\x81\n", "is not text in UTF-8: invalid start byte at byte 4; save it as UTF-8"),
        ("l.txt", codecs.BOM_UTF16_LE + b"a",
         "is not text in UTF-16, as its byte-order mark says: truncated data at byte 2"),
        ("l.txt", b"\x1b[31mdog", r"is not text: it holds the control character '\x1b'"),
        ("l.csv", b"index,name\n0,dog\n2,cat\n", "its numbers are not 0 to 1, one a label"),
        ("l.csv", b'name\n"' + b"x" * 200_000, "is no table: field larger than field limit (131072)"),
        ("l.json", b"{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("l.json", b'{"0": "dog", "2": "cat"}', "its numbers are not 0 to 1, one a label"),
        ("l.json", b'{"a": ["dog"]}',
         'holds no labels: expected is a list of names, {"0": "name"} or {"name": 0}'),
        ("l.json", b'{"dog": 0, "dog": 1}', "has 'dog' twice"),
        ("l.json", b'["\\u001b[31mdog"]', r"is not text: it holds the control character '\x1b'"),
        ("l.json", b'["\\ud800"]', r"is not text: it holds half a character, '\ud800'"),
        ("l.json", b'[{"id": 0, "name": "dog"}, {"id": 7, "name": "cat"}]', "its numbers are not 0 to 1, one a label"),
        ("l.json", b"[1]", 'holds no labels: expected is a list of names, {"0": "name"} or {"name": 0}'),
    ],
)  # fmt: skip
def test_what_is_refused(name, data, problem):
    with pytest.raises(EdgeaudioError) as caught:
        read_labels(name, data)
    assert str(caught.value) == f"{name}: {problem}"


def test_deep_json_is_refused():
    with pytest.raises(EdgeaudioError, match=r"^l.json: is not JSON: "):
        read_labels("l.json", b"[" * 100_000)


def test_labels_that_make_one_topic_are_told_apart():
    apart = distinct_labels(["Dog bark", "dog, bark", "cat", "dog bark", "dog bark 2"])
    assert apart.names == ["Dog bark", "dog, bark 2", "cat", "dog bark 3", "dog bark 2 2"]
    assert len(set(map(slugify, apart.names))) == 5
    assert apart.guesses[0] == "labels: 'dog, bark' became 'dog, bark 2', for 'Dog bark' makes the same topic"
    many = distinct_labels(["x"] * 5000)
    assert len(set(map(slugify, many.names))) == 5000
    assert many.guesses[-1] == "labels: 4996 more became others likewise"
    assert len(json.dumps(many.guesses)) < 500
