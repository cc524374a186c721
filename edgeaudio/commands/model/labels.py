"""The reader of label files: text, CSV or JSON, in a file of its own or packed into the `.tflite`.

Owns: encodings and formats of labels, and the numbers behind labels that would share a topic.
Does not know: which file is read for which output (outputs.py), manifests.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.slugs import slugify

# names of the column or key that holds the labels, in order of preference
NAMES = ("display_name", "label", "name", "class_name", "class", "labels", "category")
# names of the column or key that holds their numbers
NUMBERS = ("index", "class_index", "class_id", "id")
# where other programs' JSON holds the list or the map: Teachable Machine, Keras, Transformers
INNER = ("wordLabels", "labels", "id2label", "class_names", "classes", "names", "label_names")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, with which it begins
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_NUMBERED = re.compile(r"(\d{1,6})(?:\s*[:;,.)]\s*|\s+)(\S.*)")  # "0 Background Noise", "0: dog", "0,dog"
_SPECIES = re.compile(r"([A-Z][^_]*)_([^_]+)")  # "Turdus merula_Eurasian Blackbird", "Engine_Engine"
_BINOMIAL = re.compile(r"[A-Z][a-z-]+ [a-z-]+\b.*")
MOST_SHOWN = 3


@dataclass(slots=True)
class Labels:
    """Labels in the order of a model's scores, and the guesses in reading them."""

    names: list[str]
    guesses: list[str] = field(default_factory=list)


def read_labels(name: str, data: bytes) -> Labels:
    """Return the labels in a file's content. Raises EdgeaudioError, in one line. name: of the file, for errors."""
    text, guesses = _decoded(name, data)
    names = _json_labels(name, text)
    if names is None:
        names = _csv_labels(name, text)
    if names is None:
        names = _unnumbered([line.strip() for line in _LINE_END.split(text) if line.strip()])
    names = [" ".join(label.split()) for label in names]
    _check_text(name, "".join(names))  # again: JSON has escapes
    return _species(name, names, guesses)


def _decoded(name: str, data: bytes) -> tuple[str, list[str]]:
    encoding = next((encoding for mark, encoding in _BYTE_ORDER_MARKS if data.startswith(mark)), "utf-8")
    guesses = []
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise EdgeaudioError(
                f"{name}: is not text in {encoding.upper()}, as its byte-order mark says: {error.reason} at byte "
                f"{error.start}"
            ) from None
        # Windows' encoding before UTF-8; five bytes are undefined in it
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            raise EdgeaudioError(
                f"{name}: is not text in UTF-8: {error.reason} at byte {error.start}; save it as UTF-8"
            ) from None
        guesses.append(f"labels: {name} is not UTF-8, so it was read as Windows-1252")
    _check_text(name, text)
    return text, guesses


def _check_text(name: str, text: str) -> None:
    for char in text:
        kind = unicodedata.category(char)
        if kind == "Cc" and char not in "\t\r\n":
            raise EdgeaudioError(f"{name}: is not text: it holds the control character {char!r}")
        if kind == "Cs":
            raise EdgeaudioError(f"{name}: is not text: it holds half a character, {char!r}")


def _unnumbered(lines: list[str]) -> list[str]:
    """Return lines without the numbers that all of them begin with, in the order of the numbers."""
    matches = [match for line in lines if (match := _NUMBERED.fullmatch(line))]
    if len(matches) < len(lines) or not _are_all(int(match[1]) for match in matches):
        return lines
    names = [match[2] for match in sorted(matches, key=lambda match: int(match[1]))]
    return names if len(set(names)) == len(names) else lines  # "1 person", "2 person" are names themselves


def _are_all(numbers: Any) -> bool:  # noqa: ANN401 (an iterable of int)
    """True if the numbers are 0 to n - 1, or 1 to n, in any order."""
    found = sorted(numbers)
    return found in (list(range(len(found))), list(range(1, len(found) + 1)))


def _species(name: str, lines: list[str], guesses: list[str]) -> Labels:
    """Return the common names if all labels are `Scientific_Common`, as in BirdNET, and most names are binomials."""
    matches = [match for line in lines if (match := _SPECIES.fullmatch(line))]
    n_binomials = sum(_BINOMIAL.fullmatch(match[1]) is not None for match in matches)
    if len(matches) < len(lines) or 2 * n_binomials <= len(lines):
        return Labels(lines, guesses)
    times = Counter(match[2] for match in matches)
    names = [match[2] if times[match[2]] == 1 else f"{match[2]} ({match[1]})" for match in matches]
    return Labels(names, [*guesses, f"labels: the common names in {name}, which has them as in {lines[0]!r}"])


def _csv_labels(name: str, text: str) -> list[str] | None:
    """Return the labels of a table: its column of labels, else the last one; None if it is no table."""
    is_table = name.lower().endswith((".csv", ".tsv"))
    first = _LINE_END.split(text, maxsplit=1)[0].lower()
    delimiter = max(",;\t", key=first.count)
    header = [cell.strip().strip('"') for cell in first.split(delimiter)]
    column = next((header.index(key) for key in NAMES if key in header), None)
    if not is_table and (column is None or len(header) < 2):
        return None
    try:
        rows = [row for row in csv.reader(_LINE_END.split(text), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise EdgeaudioError(f"{name}: is no table: {error}") from None
    numbers = next((header.index(key) for key in NUMBERS if key in header), None)
    if column is None:
        column, numbers = -1, 0 if all(len(row) > 1 and row[0].strip().isdecimal() for row in rows) else None
    else:
        rows = [row for row in rows[1:] if len(row) > column]
    if numbers is None or not all(len(row) > numbers and row[numbers].strip().isdecimal() for row in rows):
        return [row[column] for row in rows]
    return _ordered(name, [(int(row[numbers]), row[column]) for row in rows])


def _json_labels(name: str, text: str) -> list[str] | None:
    """Return the labels of a list or a map in JSON; None if it is no JSON."""
    is_json = name.lower().endswith(".json")
    if not is_json and text.lstrip()[:1] not in ("[", "{"):
        return None
    try:
        value = json.loads(text, object_pairs_hook=lambda pairs: _unique(name, pairs))
    except (ValueError, RecursionError) as error:
        if is_json:
            raise EdgeaudioError(f"{name}: is not JSON: {error}") from None
        return None  # a list of labels like "[noise]"
    if isinstance(value, dict):
        value = next((value[key] for key in INNER if isinstance(value.get(key), list | dict)), value)
    if isinstance(value, dict):
        if all(isinstance(label, str) and number.strip().isdecimal() for number, label in value.items()):
            return _ordered(name, [(int(number), label) for number, label in value.items()])
        if all(type(number) is int for number in value.values()):
            return _ordered(name, [(number, label) for label, number in value.items()])
    elif isinstance(value, list):
        labels = [label for item in value if (label := _named(item)) is not None]
        if len(labels) == len(value):
            numbers = [number for item in value if (number := _numbered(item)) is not None]
            return _ordered(name, list(zip(numbers, labels, strict=True))) if len(numbers) == len(labels) else labels
    raise EdgeaudioError(f'{name}: holds no labels: expected is a list of names, {{"0": "name"}} or {{"name": 0}}')


def _named(item: object) -> str | None:
    if isinstance(item, dict):
        item = next((item[key] for key in NAMES if key in item), None)
    return item if isinstance(item, str) else None


def _numbered(item: object) -> int | None:
    number = next((item[key] for key in NUMBERS if key in item), None) if isinstance(item, dict) else None
    return int(number) if type(number) is int or (isinstance(number, str) and number.isdecimal()) else None


def _unique(name: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = next((key for key, times in Counter(key for key, _ in pairs).items() if times > 1), None)
    if twice is not None:
        raise EdgeaudioError(f"{name}: has {twice!r} twice")
    return dict(pairs)


def _ordered(name: str, pairs: list[tuple[int, str]]) -> list[str]:
    if not _are_all(number for number, _ in pairs):
        raise EdgeaudioError(f"{name}: its numbers are not 0 to {len(pairs) - 1}, one a label")
    return [label for _, label in sorted(pairs, key=lambda pair: pair[0])]


def distinct_labels(names: Sequence[str]) -> Labels:
    """Return the labels, with a number behind each that would share the topic of an earlier one."""
    apart: list[str] = []
    first: dict[str, str] = {}  # by topic level
    last_number: Counter[str] = Counter()
    renamed: list[str] = []
    for name in names:
        chosen, slug = name, slugify(name)
        while slugify(chosen) in first:
            last_number[slug] += 1
            chosen = f"{name} {last_number[slug] + 1}"
        first[slugify(chosen)] = name
        if chosen != name:
            renamed.append(f"labels: {name!r} became {chosen!r}, for {first[slug]!r} makes the same topic")
        apart.append(chosen)
    if len(renamed) > MOST_SHOWN:
        renamed[MOST_SHOWN:] = [f"labels: {len(renamed) - MOST_SHOWN} more became others likewise"]
    return Labels(apart, renamed)
