"""How long a command waits for a source, and what it says while it waits.

Owns: a line on standard error once nothing has come for a second, and an end to listening that drags on.
Does not know: how a source is opened, or what is done with its sound. Capture has limits of its own to each open and
each wait for sound; a source that drips keeps to them, so there is one to the whole as well.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.opening import longest_open_s
from edgeaudio.capture.pipe import kind_of
from edgeaudio.redact import mask
from edgeaudio.terminal import complain
from edgeaudio.types import Block

SENDER_WAIT_S = 30.0  # for whoever pushes the sound, or writes it into a pipe
SAID_AFTER_S = 1.0
SLACK_S = 30.0  # and four times the sound that is wanted: after that, what was heard has to do
HANG_S = 120.0  # of what nothing can interrupt: a driver, a disk on the network, the name server
_TURN_S = 0.1
INTERRUPT_S = 5.0  # of the same, after Ctrl-C
_HANGS = "the driver of the card, the disk, or the name server"
_EXIT_BAD_INPUT, _EXIT_INTERRUPTED = 2, 130


class Patience:
    """Watches over one source in a thread of its own. Use it in a `with` block, around the source.

    `end` is the stop event for the source: set when `stop` is, and when listening has taken too long.
    """

    def __init__(self, config: SourceConfig, stop: threading.Event, *, label: str = "") -> None:
        self.end = threading.Event()
        self._config = config
        self._label = label
        self._stop = stop
        self._over = threading.Event()
        self._deadline_s = float("inf")
        self._waits_for = f"waiting for {_opening(config)}, at most {longest_open_s(config, SENDER_WAIT_S):g} s"
        self._since_s = time.monotonic()
        self._said = False
        self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def listen(self, blocks: Iterable[Block], seconds: float | None = None) -> Iterator[Block]:
        """Yield the blocks; end early, where `seconds` of sound are wanted and take far longer than they last."""
        self._waits_for = f"waiting for sound from {self._config.address}"
        self._since_s, self._said = time.monotonic(), False
        if seconds is not None:
            self._deadline_s = self._since_s + 4 * seconds + SLACK_S
            self._waits_for += f", at most {4 * seconds + SLACK_S:g} s"
        for block in blocks:
            self._since_s = time.monotonic()
            yield block
            self._since_s = time.monotonic()

    def _watch(self) -> None:
        while not self._over.wait(_TURN_S):
            now_s = time.monotonic()
            if self._stop.is_set() or now_s > self._deadline_s:
                self.end.set()
            if not self._said and now_s - self._since_s > SAID_AFTER_S:
                self._said = True
                self._say(self._waits_for)
            if now_s - self._since_s > (INTERRUPT_S if self._stop.is_set() else HANG_S):
                self._give_up()

    def _give_up(self) -> None:
        """End the process, for the thread that waits cannot be ended."""
        if self._stop.is_set():
            os._exit(_EXIT_INTERRUPTED)
        self._say(f"{self._config.address} has hung for {HANG_S:g} s where nothing can interrupt it; look at {_HANGS}")
        os._exit(_EXIT_BAD_INPUT)

    def _say(self, text: str) -> None:
        complain(mask(f"edgeaudio: {self._label}{text}"))


def _opening(config: SourceConfig) -> str:
    address = config.address
    if address.scheme == "rtsp+listen":
        return f"a sender to push to {address}"
    if address.path is not None:
        kind = kind_of(address.path)
        return f"something to be written to the {kind} {address}" if kind else f"{address} to be read"
    return f"{address} to answer" if address.is_network else f"{address} to give sound"
