"""Errors, folder marks and recipe arguments, for all commands of the tools."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from edgeaudio.errors import EdgeaudioError


def exit_status(name: str, work: Callable[[], None], *refusals: type[Exception]) -> int:
    """Do the work; returns 0, or 2 after an EdgeaudioError or one of `refusals`, which is printed in one line."""
    told: tuple[type[Exception], ...] = (EdgeaudioError, *refusals)
    try:
        work()
    except told as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0


def require_keras() -> None:
    """Before a long work that needs it. Raises EdgeaudioError."""
    if find_spec("keras") is None:
        raise EdgeaudioError("Keras is not installed: the extra `train` brings it (pip install -e '.[train]')")


def first_mark(mark: Path, text: str) -> str:
    """Return the content of the file `mark`; write `text` to it first if it is new. Safe for several processes."""
    if not mark.exists():
        unfinished = mark.with_suffix(f".{os.getpid()}")
        unfinished.write_text(text)
        unfinished.replace(mark)
    return mark.read_text()


def recipe_parser(name: str, description: str, work: Path) -> argparse.ArgumentParser:
    """Return the parser of a command that makes a bundled model, whole."""
    parser = argparse.ArgumentParser(prog=name, description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings (esc10, speech_digits, ...)")
    parser.add_argument("--out", type=Path, required=True, help="model directory to write")
    parser.add_argument("--work", type=Path, default=work, help="for what may be resumed or looked at")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runtime-python", type=Path, action="append", default=[], metavar="PYTHON",
                        help="another Python whose TFLite runtime must run the result too")  # fmt: skip
    return parser


def runtimes(options: argparse.Namespace) -> list[str]:
    """Return the other Pythons, as arguments of `tools.convert_model`."""
    return [text for python in options.runtime_python for text in ("--runtime-python", str(python))]
