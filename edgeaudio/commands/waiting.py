"""Limits and messages of a command that waits for a source.

Owns: a line on standard error after a second without sound, and the limit of the whole: capture limits each open and
each wait for sound, which a source that sends a little now and then never exceeds.
Does not know: how a source is opened, or what is done with its sound.
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
from edgeaudio.commands.exit_status import EXIT_BAD_INPUT, EXIT_INTERRUPTED
from edgeaudio.redact import mask
from edgeaudio.terminal import print_error
from edgeaudio.types import Block

SENDER_WAIT_S = 30.0  # for the sender of a pushed stream, or the writer of a pipe
SHOWN_AFTER_S = 1.0
SLACK_S = 30.0  # added to four times the sound that is wanted: the limit of the whole
HANG_S = 120.0  # limit of calls that cannot be interrupted: a driver, a disk on the network, the name server
_TURN_S = 0.1
INTERRUPT_S = 5.0  # the same after Ctrl-C
_HANGS = "the driver of the card, the disk, or the name server"


class WaitMonitor:
    """Watches one source from a thread of its own. Use it in a `with` block, around the source.

    `end` is the stop event for the source: set with `stop`, and when listening has taken too long.
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
        self._shown = False
        self._thread = threading.Thread(target=self._watch, name="wait-monitor", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def listen(self, blocks: Iterable[Block], seconds: float | None = None) -> Iterator[Block]:
        """Yield the blocks; end early if `seconds` of sound take longer than four times as long and SLACK_S."""
        self._waits_for = f"waiting for sound from {self._config.address}"
        self._since_s, self._shown = time.monotonic(), False
        if seconds is not None:
            self._deadline_s = self._since_s + 4 * seconds + SLACK_S
            self._waits_for += f", at most {4 * seconds + SLACK_S:g} s"
        for block in blocks:
            self._since_s = float("inf")  # nothing is waited for while the command works on it
            yield block
            self._since_s = time.monotonic()
        if not self._stop.is_set():
            self._since_s = float("inf")  # what the command still does with the sound is no wait for the source

    def _watch(self) -> None:
        while not self._over.wait(_TURN_S):
            now_s = time.monotonic()
            if self._stop.is_set() or now_s > self._deadline_s:
                self.end.set()
            if not self._shown and now_s - self._since_s > SHOWN_AFTER_S:
                self._shown = True
                self._print(self._waits_for)
            if now_s - self._since_s > (INTERRUPT_S if self._stop.is_set() else HANG_S):
                self._abort()

    def _abort(self) -> None:
        """End the process: the thread that waits cannot be ended."""
        if self._stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        self._print(
            f"{self._config.address} has hung for {HANG_S:g} s where nothing can interrupt it; look at {_HANGS}"
        )
        os._exit(EXIT_BAD_INPUT)

    def _print(self, text: str) -> None:
        print_error(mask(f"edgeaudio: {self._label}{text}"))


def _opening(config: SourceConfig) -> str:
    address = config.address
    if address.is_pushed:
        return f"a sender to push to {address}"
    if address.path is not None:
        kind = kind_of(address.path)
        return f"something to be written to the {kind} {address}" if kind else f"{address} to be read"
    return f"{address} to answer" if address.is_network else f"{address} to give sound"
