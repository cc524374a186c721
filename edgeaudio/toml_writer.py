"""The one writer of TOML: settings files, manifests, and setting names in messages.

The standard library only reads TOML. `tomli-w` writes no comments, and each number of a list on a line of its own;
`edgeaudio check --print` needs the former, a manifest with the mean of each feature not the latter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

Key = tuple[str, ...]

_LINE_LENGTH = 100  # characters of a list before each item gets its own line


def dumps(table: Mapping[str, object], comment: Callable[[Key], str] = lambda _: "") -> str:
    """Return a table as TOML text.

    Values are text, numbers, booleans, lists or tuples of them, tables, and lists of tables; a table has its values
    before the tables in it. `comment` is called with the key of each value; what it returns stands behind the value.
    """
    return "\n".join(_lines(table, (), comment)).lstrip("\n") + "\n"


def dotted(key: Iterable[str]) -> str:
    """Return a key with dots between its parts, quoted where TOML wants that."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_-]+", part) else quoted(part) for part in key)


def quoted(text: str) -> str:
    """Return a text as a TOML string: JSON's escapes, and DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _lines(table: Mapping[str, object], key: Key, comment: Callable[[Key], str]) -> Iterator[str]:
    if key and (not table or not all(_holds_tables(value) for value in table.values())):
        yield f"\n[{dotted(key)}]"
    yield from _content(table, key, comment)


def _content(table: Mapping[str, object], key: Key, comment: Callable[[Key], str]) -> Iterator[str]:
    """Yield a table's lines behind its heading."""
    for name, value in table.items():
        if not _holds_tables(value):
            behind = comment((*key, name))
            yield f"{dotted((name,))} = {_literal(value)}" + (f"  # {behind}" if behind else "")
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*key, name), comment)
        elif isinstance(value, (list, tuple)) and _holds_tables(value):
            for inner in value:
                yield f"\n[[{dotted((*key, name))}]]"
                yield from _content(inner, (*key, name), comment)


def _holds_tables(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, (list, tuple)) and bool(value) and all(isinstance(item, Mapping) for item in value)
    )


def _literal(value: object) -> str:
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, (list, tuple)):
        items = [_literal(item) for item in value]
        one_line = f"[{', '.join(items)}]"
        return one_line if len(one_line) <= _LINE_LENGTH else "[\n  " + ",\n  ".join(items) + ",\n]"
    return json.dumps(value)  # JSON's numbers and booleans are TOML's
