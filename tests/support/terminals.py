"""Programs on a terminal of their own: a pseudo-terminal, which controls them as a real one does."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

LONGEST_S = 60.0
PRESSED_S = 1.0  # until a key is pressed again
# a program that leads its session gets the terminal that it opens
_LEAD = "import os, sys; os.close(os.open(os.ttyname(0), os.O_RDWR)); os.execv(sys.argv[1], sys.argv[1:])"


class Terminal:
    """The near end of a pseudo-terminal."""

    def __init__(self, near: int) -> None:
        self._near = near
        self.shown = ""

    def type(self, text: str, wanted: str) -> None:
        """Type the text, and wait until the wanted text is shown after it."""
        begin, deadline_s = len(self.shown), time.monotonic() + LONGEST_S
        os.write(self._near, text.encode())
        while wanted not in self.shown[begin:]:
            self._await(deadline_s, wanted)
            piece = self._read()
            assert piece, f"ended without {wanted!r}: {self.shown}"
            self.shown += piece

    def rest(self) -> str:
        """Return all that is shown until the program has ended."""
        deadline_s = time.monotonic() + LONGEST_S
        self._await(deadline_s, "the end")
        while piece := self._read():
            self.shown += piece
            self._await(deadline_s, "the end")
        return self.shown.replace("\r\n", "\n")

    def interrupt(self) -> str:
        """Press Ctrl-C until the program has ended; returns all that was shown.

        Python can miss a Ctrl-C that comes just before it waits for a line.
        """
        deadline_s = time.monotonic() + LONGEST_S
        while time.monotonic() < deadline_s:
            os.write(self._near, b"\x03")
            while select.select([self._near], [], [], PRESSED_S)[0]:
                if not (piece := self._read()):
                    return self.shown.replace("\r\n", "\n")
                self.shown += piece
        raise AssertionError(f"does not end: {self.shown}")

    def _await(self, deadline_s: float, wanted: str) -> None:
        ready = select.select([self._near], [], [], max(0, deadline_s - time.monotonic()))[0]
        assert ready, f"{wanted!r} does not come: {self.shown}"

    def _read(self) -> str:
        try:
            return os.read(self._near, 65_536).decode()
        except OSError:  # nobody has the far end open any more
            return ""


@contextlib.contextmanager
def terminal(
    command: Sequence[str], *, width: int = 80, environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[Terminal]:
    """Run the command on a terminal that takes no colours, unless the environment says otherwise."""
    environ = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    environ |= {"TERM": "dumb", **(environment or {})}
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    lead = [sys.executable, "-c", _LEAD, *command]
    with subprocess.Popen(
        lead, stdin=far, stdout=far, stderr=far, env=environ, cwd=folder, start_new_session=True
    ) as process:
        os.close(far)
        try:
            yield Terminal(near)
        finally:
            os.close(near)  # which hangs up
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
