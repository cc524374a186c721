"""The process that pushes a film, seen from the one that makes it.

Owns: starting and ending it, the bounded queue of packets that wait for it, and how it gets on.
Does not know: servers, encoders, when to try again (push_output.py).

Nothing here waits, but for `end`: what the process does not take stays in the queue.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from edgeaudio.film.push_faults import PushFault, fault_of
from edgeaudio.media.film_wire import FAULT, OPENED, TAKEN, PushHead

_MODULE: Final = "edgeaudio.media.film_pusher"
# what Python needs to be found: secrets may be in the rest
_ENVIRONMENT: Final = ("PATH", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_READ_BYTES: Final = 65_536
_MAX_FAULT_BYTES: Final = 4_096
_KILLED_S: Final = 5.0  # a process that was killed is gone by then


@dataclass(slots=True)
class _Waiting:
    data: memoryview
    is_picture: bool
    since_s: float  # monotonic
    begun: bool = False


class PushProcess:
    """One connection. Not safe for several threads."""

    def __init__(self, head: PushHead, now_s: float) -> None:
        """Start the process. Raises OSError if this machine cannot."""
        self.began_s = now_s
        self.is_open = False  # the server has taken the stream's description
        self.fault: PushFault | None = None  # why it ended
        self.waiting_bytes = 0
        self._waiting: deque[_Waiting] = deque()
        self._sent_s: deque[float] = deque()  # when each packet went into the pipe that was not taken since
        self._answer = b""
        self._process = subprocess.Popen(  # noqa: S603 (a module of this package)
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            process_group=0,  # an interrupt from the keyboard is for the parent, which ends the stream properly
        )
        self._pipes = self._process.stdin, self._process.stdout
        self._in, self._out = (pipe.fileno() for pipe in self._pipes if pipe is not None)
        for descriptor in (self._in, self._out):
            os.set_blocking(descriptor, False)
        self._waiting.append(_Waiting(memoryview(head.packed()), is_picture=False, since_s=now_s))
        self._heads = 1  # in the queue, before the packets
        self._write(now_s)

    @property
    def pid(self) -> int:
        return self._process.pid

    def put(self, data: bytes, *, is_picture: bool, now_s: float) -> None:
        """Queue a packet, and write what the pipe takes."""
        self._waiting.append(_Waiting(memoryview(data), is_picture, now_s))
        self.waiting_bytes += len(data)

    def oldest_s(self, now_s: float) -> float:
        """Return for how long the oldest packet has waited that `drop` would drop."""
        return next((now_s - item.since_s for item in self._waiting if not item.begun), 0.0)

    def stalled_s(self, now_s: float) -> float:
        """Return for how long the oldest packet has been in the process without FFmpeg having taken it."""
        return now_s - self._sent_s[0] if self._sent_s else 0.0

    def drop(self) -> int:
        """Drop the packets that wait, but for one that is half in the pipe; return the pictures among them."""
        kept = [item for item in self._waiting if item.begun]
        pictures = sum(item.is_picture for item in self._waiting if not item.begun)
        self._waiting = deque(kept)
        self.waiting_bytes = sum(len(item.data) for item in kept)
        return pictures

    def step(self, now_s: float) -> None:
        """Read how the process gets on, and write what the pipe takes."""
        self._read()
        self._write(now_s)

    def end(self, patience_s: float = 0.0) -> None:
        """End the stream, and the process: by force once `patience_s` is over."""
        stdin, stdout = self._pipes
        if patience_s > 0.0 and self.is_open and self.fault is None:
            _close(stdin)  # which ends the stream properly
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(patience_s)
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILLED_S)
        _close(stdin)
        _close(stdout)

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._out, _READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                if self.fault is None:
                    self.fault = fault_of(_fields(self._answer))
                return
            self._heard(data)

    def _heard(self, data: bytes) -> None:
        if self._answer:
            self._answer = (self._answer + data)[:_MAX_FAULT_BYTES]
            return
        good, fault, rest = data.partition(FAULT)
        if OPENED in good:
            self.is_open = True
        for _ in range(good.count(TAKEN)):
            if self._sent_s:
                self._sent_s.popleft()
        self._answer = fault + rest

    def _write(self, now_s: float) -> None:
        while self._waiting and self.fault is None:
            item = self._waiting[0]
            try:
                done = os.write(self._in, item.data)
            except BlockingIOError:
                return
            except OSError:  # it has ended, and its answer says why
                return
            if not self._heads:
                self.waiting_bytes -= done
            if done < len(item.data):
                item.data, item.begun = item.data[done:], True
                return
            self._waiting.popleft()
            if self._heads:
                self._heads -= 1
            else:
                self._sent_s.append(now_s)


def _close(pipe: IO[bytes] | None) -> None:
    with suppress(OSError):
        if pipe is not None:
            pipe.close()


def _fields(answer: bytes) -> dict[str, object]:
    """Return what the process said as it ended; nothing where it was killed."""
    try:
        fields = json.loads(answer.removeprefix(FAULT))
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
