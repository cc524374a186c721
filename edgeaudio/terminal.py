"""Printing and asking, safe for any text and any standard stream.

Owns: the only writes of a command to standard output and error, and its questions; escapes for control characters and
for characters that the encoding lacks; streams that are full or closed; colours and width of a terminal.
Does not know: layout (console.py), or which text holds secrets (redact.py).
"""

from __future__ import annotations

import codecs
import getpass
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TextIO

# control characters of a terminal: C0 but tab and newline, DEL, C1, line separators, marks that reorder a line; and
# lone surrogates, which Python makes of file names that are not UTF-8
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

# bounds of a terminal's width, and the width of one that reports none
_LEAST_WIDTH, _MOST_WIDTH, _USUAL_WIDTH = 20, 1000, 80


class _Redrawn:
    """What `redraw` left on standard error."""

    width = 0  # characters
    stream: TextIO | None = None  # what standard error was then: a caller in the same process may set another


_redrawn = _Redrawn()


class OutputError(Exception):
    """Standard output cannot be written to."""


class Styled(str):
    """Text with a colour for terminals that show colours."""

    __slots__ = ("sgr",)
    sgr: str  # parameters of the escape sequence "select graphic rendition"


def good(text: str) -> Styled:
    """Return the text in green."""
    return _styled(text, "32")


def bad(text: str) -> Styled:
    """Return the text in bold red."""
    return _styled(text, "1;31")


def faint(text: str) -> Styled:
    """Return the text in a faint colour."""
    return _styled(text, "2")


def _styled(text: str, sgr: str) -> Styled:
    styled = Styled(text)
    styled.sgr = sgr
    return styled


def printable(text: str) -> str:
    r"""Return the text with control characters escaped as `\u001b`; JSON stays JSON."""
    return _CONTROLS.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    """Return the text in its style, printable, with tabs and newlines escaped as well."""
    line = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return _styled(line, text.sgr) if isinstance(text, Styled) else line


def print_out(*pieces: str, end: str = "\n", flush: bool = False) -> None:
    """Print the pieces in a row to standard output.

    Raises OutputError, or BrokenPipeError where the reader has closed the pipe.
    """
    if sys.stdout is None:
        raise OutputError("standard output is closed; to do without it, write >/dev/null")
    with _output_errors():
        colours = takes_colours(sys.stdout)
        shown = [_painted(piece) if colours else printable(piece) for piece in (*pieces, end)]
        sys.stdout.write(_encodable("".join(shown), sys.stdout))
        if flush:
            sys.stdout.flush()


def flush_output() -> None:
    """Flush what `print_out` has buffered. Raises OutputError, or BrokenPipeError."""
    if sys.stdout is not None:
        with _output_errors():
            sys.stdout.flush()


def print_error(text: str, *, end: str = "\n") -> None:
    """Print to standard error, in place of what `redraw` drew; a failure is ignored."""
    blank = f"\r{' ' * _redrawn.width}\r" if _redrawn.width and _redrawn.stream is sys.stderr else ""
    _redrawn.width = 0
    _write_error(blank + _encodable(printable(text + end), sys.stderr))


def ask(question: str) -> str:
    """Print a question and return the answer, a line. Raises EOFError, UnicodeDecodeError, OutputError."""
    if sys.stdin is None:
        raise EOFError
    if on_terminal(sys.stdin) and on_terminal(sys.stdout):
        return input(_encodable(printable(question), sys.stdout))  # with line editing
    print_out(question, end="", flush=True)
    answer = input()
    print_out()  # the answer comes from no terminal, so no newline was shown
    return answer


def read_line() -> str:
    """Return a line of standard input, for which nothing is asked. Raises EOFError, UnicodeDecodeError."""
    if sys.stdin is None:
        raise EOFError
    return input()


def ask_secret(question: str) -> str:
    """Do what `ask` does, without showing the answer on a terminal."""
    return getpass.getpass(question) if on_terminal(sys.stdin) else ask(question)


def redraw(line: str) -> None:
    """Print a line to standard error over the last one."""
    _redrawn.width = len(line.rstrip())
    _redrawn.stream = sys.stderr
    _write_error("\r" + _encodable(one_line(line), sys.stderr))


def discard_output() -> None:
    """Discard what is buffered for standard output; else Python reports a failed flush at exit."""
    _discard(sys.stdout)


def on_terminal(stream: TextIO | None) -> bool:
    """True if the stream is a terminal; it may be closed."""
    return stream is not None and stream.isatty()


def takes_colours(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> bool:
    """True for a terminal with colours, unless NO_COLOR is set (no-color.org)."""
    return on_terminal(stream) and not environ.get("NO_COLOR") and (environ.get("TERM") or "dumb") != "dumb"


def width_of(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """Return the width of a terminal in characters, `COLUMNS` where that is set; None if the stream is no terminal."""
    if stream is None or not on_terminal(stream):
        return None
    columns = environ.get("COLUMNS", "")
    width = int(columns) if re.fullmatch("[0-9]{1,5}", columns) else 0
    with suppress(OSError):
        width = width or os.get_terminal_size(stream.fileno()).columns
    width = width or _USUAL_WIDTH
    return min(max(width, _LEAST_WIDTH), _MOST_WIDTH)


def occupy_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed.

    Else a file that is opened later gets that number, and a library that prints writes into it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output: cannot be written: {error.strerror}") from None


def _painted(text: str) -> str:
    return f"\x1b[{text.sgr}m{printable(text)}\x1b[0m" if isinstance(text, Styled) else printable(text)


def _write_error(text: str) -> None:
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except BlockingIOError:  # `run` does not wait for a reader
        pass
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError, AttributeError):  # the stream has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def _encodable(text: str, stream: TextIO | None) -> str:
    """Return the text with escapes for the characters that the stream's encoding lacks."""
    encoding = (stream and stream.encoding) or "utf-8"
    return text.encode(encoding, _ESCAPE).decode(encoding)


def _escaped(characters: str) -> str:
    """Return JSON's escapes: two for a character beyond 16 bits."""
    units = characters.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _escape_lacking(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _escaped(error.object[error.start : error.end]), error.end


_ESCAPE = "edgeaudio-escape"
codecs.register_error(_ESCAPE, _escape_lacking)
