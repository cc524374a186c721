"""What a command leaves out: a line for each, and an exit status that says so.

Owns: how many lines are printed. Does not know: what is left out.
"""

from __future__ import annotations

from typing import Final

from edgeaudio.commands.exit_status import EXIT_BAD_INPUT
from edgeaudio.redact import mask
from edgeaudio.terminal import one_line, print_error

MAX_LINES: Final = 100  # to another user than the one who wrote them, each of thousands of files is closed


class Troubles:
    """Lines on standard error; what else there is goes on."""

    def __init__(self, status: int = EXIT_BAD_INPUT) -> None:
        """`status`: of the command, if there was one line."""
        self.count = 0
        self._status = status

    def say(self, text: str) -> None:
        """Print one line, if there were not too many."""
        self.count += 1
        if self.count <= MAX_LINES:
            print_error(f"edgeaudio: {one_line(mask(text))}")

    def status(self) -> int:
        """Return the exit status, at the end; print how many lines are missing."""
        if self.count > MAX_LINES:
            print_error(f"edgeaudio: and {self.count - MAX_LINES} more")
        return self._status if self.count else 0
