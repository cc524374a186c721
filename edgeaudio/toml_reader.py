"""The one reader of TOML that users write: settings files, manifests, keys of options.

Owns: what is wrong with a text, and where, without the login that may be in it. `tomllib` repeats the names of tables
in its messages, and takes memory by the square of the parts of a dotted key: one of 200 kB ends the process.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

MAX_PARTS = 32  # of a dotted key; those of settings and manifests have up to 5

_HIDDEN = "***"  # as urls.py has it, which imports urllib: recognise/ reads manifests, and knows no network
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*+\.[ \t]*+){{{MAX_PARTS}}}")
_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


class TomlError(ValueError):
    """A text that is not TOML: `problem`, and `place`, which is "LINE:COLUMN", "LINE:end" or ""."""

    def __init__(self, problem: str, place: str = "") -> None:
        self.problem = problem
        self.place = place
        line, _, column = place.partition(":")
        where = "at its end" if column == "end" else f"line {line}, column {column}"
        super().__init__(f"{problem} ({where})" if place else problem)


def loads(text: str) -> dict[str, Any]:
    """Parse TOML. Raises TomlError."""
    if long := _LONG_KEY.search(text):
        before = text[: long.start()].split("\n")
        raise TomlError("nested too deep", f"{len(before)}:{len(before[-1]) + 1}")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        at = _PLACE.search(said)
        problem = said[: at.start()] if at else said
        line = (at and at["line"]) or str(len(text.splitlines()))
        # an address that was written as a name
        problem = re.sub(r"'[^']*@[^']*'", repr(_HIDDEN), problem)
        raise TomlError(problem, f"{line}:{(at and at['column']) or 'end'}") from None
    except RecursionError:
        raise TomlError("nested too deep") from None
    except ValueError:
        raise TomlError("a number has too many digits") from None
