"""How commands print: whatever the text holds, and whatever standard output and error are.

Owns: the only writes of a command to standard output and error, and its questions; which characters a terminal would
obey instead of show; streams that are full, closed or lack characters; whether a terminal takes colours, and how wide
it is.
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

# what a terminal obeys: C0 but tab and newline, DEL, C1, line separators, and marks that reorder a line; and halves of
# characters, which Python makes of file names that are not UTF-8
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


# the least and the most that a terminal is taken to be wide, and what one is that does not say
_LEAST_WIDTH, _MOST_WIDTH, _USUAL_WIDTH = 20, 1000, 80


class OutputError(Exception):
    """Standard output takes no more."""


class Styled(str):
    """Text that stands out, or back, on a terminal that takes colours."""

    __slots__ = ("sgr",)
    sgr: str  # the parameters of "select graphic rendition"


def good(text: str) -> Styled:
    """Text in green."""
    return _styled(text, "32")


def bad(text: str) -> Styled:
    """Text in bold red."""
    return _styled(text, "1;31")


def faint(text: str) -> Styled:
    """Text that stands back."""
    return _styled(text, "2")


def _styled(text: str, sgr: str) -> Styled:
    styled = Styled(text)
    styled.sgr = sgr
    return styled


def printable(text: str) -> str:
    r"""The text with `\u001b` and the like for what a terminal would obey; JSON stays JSON."""
    return _OBEYED.sub(lambda found: _escaped(found[0]), text)


def one_line(text: str) -> str:
    """The text in its style, printable, with its tabs and newlines escaped too."""
    line = printable(text).replace("\n", "\\n").replace("\t", "\\t")
    return _styled(line, text.sgr) if isinstance(text, Styled) else line


def say(*pieces: str, end: str = "\n", flush: bool = False) -> None:
    """Print the pieces, one behind the other, to standard output.

    Raises OutputError, or BrokenPipeError where nobody reads on.
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
    """Write out what `say` has kept. Raises OutputError, or BrokenPipeError."""
    if sys.stdout is not None:
        with _output_errors():
            sys.stdout.flush()


def complain(text: str, *, end: str = "\n") -> None:
    """Print to standard error; what it does not take is lost."""
    _write_error(_encodable(printable(text + end), sys.stderr))


def ask(question: str) -> str:
    """Ask on standard output, and return the line that answers. Raises EOFError, UnicodeDecodeError, OutputError."""
    if sys.stdin is None:
        raise EOFError
    if on_terminal(sys.stdin) and on_terminal(sys.stdout):
        return input(_encodable(printable(question), sys.stdout))  # which edits the line
    say(question, end="", flush=True)
    answer = input()
    say()  # nobody has typed the end of the line there
    return answer


def ask_secret(question: str) -> str:
    """Like `ask`, but a terminal does not show the answer."""
    return getpass.getpass(question) if on_terminal(sys.stdin) else ask(question)


def redraw(line: str) -> None:
    """Print a line to standard error in place of the last one."""
    _write_error("\r" + _encodable(one_line(line), sys.stderr))


def discard_output() -> None:
    """Have all that is still kept for standard output go nowhere, or Python complains of it at exit."""
    _discard(sys.stdout)


def on_terminal(stream: TextIO | None) -> bool:
    """True if the stream is a terminal; it may be closed."""
    return stream is not None and stream.isatty()


def takes_colours(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> bool:
    """True for a terminal that knows colours and whose user wants them (no-color.org)."""
    return on_terminal(stream) and not environ.get("NO_COLOR") and (environ.get("TERM") or "dumb") != "dumb"


def width_of(stream: TextIO | None, environ: Mapping[str, str] = os.environ) -> int | None:
    """How many characters a line of a terminal has, `COLUMNS` where that is set; None: no terminal, any number."""
    if stream is None or not on_terminal(stream):
        return None
    said = environ.get("COLUMNS", "")
    width = int(said) if re.fullmatch("[0-9]{1,5}", said) else 0
    with suppress(OSError):
        width = width or os.get_terminal_size(stream.fileno()).columns
    width = width or _USUAL_WIDTH
    return min(max(width, _LEAST_WIDTH), _MOST_WIDTH)


def occupy_descriptors() -> None:
    """Open /dev/null where standard input, output or error is closed.

    Else a file that is opened later gets that number, and whatever a library prints is written into it.
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
    except BlockingIOError:  # of `run`, which waits for no reader
        pass
    except (OSError, ValueError):
        _discard(sys.stderr)


def _discard(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError, AttributeError):  # of a stream that has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def _encodable(text: str, stream: TextIO | None) -> str:
    """The text with escapes for the characters that the stream's encoding lacks."""
    encoding = (stream and stream.encoding) or "utf-8"
    return text.encode(encoding, _ESCAPE).decode(encoding)


def _escaped(characters: str) -> str:
    """JSON's escapes: characters beyond 16 bits are two."""
    units = characters.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _escape_lacking(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return _escaped(error.object[error.start : error.end]), error.end


_ESCAPE = "edgeaudio-escape"
codecs.register_error(_ESCAPE, _escape_lacking)
