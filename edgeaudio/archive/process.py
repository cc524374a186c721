"""A process that runs jobs, one after the other, for a parent: `python -m edgeaudio.archive.process`.

Owns: the order of work in the process, reading ahead, and its end, which is that of its parent.
Does not know: what a job is, what becomes of one that ended the process (process_pool.py).

Messages are pickles, each behind its length. The parent sends a Work, which is answered by READY, or by FAILED and why,
then jobs; the process answers each job with BEGAN, now and then with ADVANCED and how far it has come, then with DONE
and the outcome. While a job runs, a thread fetches what the next needs. Another only receives: the end of the input
ends the process at once, in the middle of a job and of fetching too, so that a parent that was killed leaves nothing
that goes on.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import struct
import sys
import threading
from contextlib import AbstractContextManager
from types import TracebackType
from typing import IO, Any

from edgeaudio.archive.advance import Advance, listen
from edgeaudio.archive.work import Work
from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask

READY = "ready"
BEGAN = "began"
ADVANCED = "advanced"
DONE = "done"
FAILED = "failed"

Fetched = queue.Queue[tuple[object, AbstractContextManager[Any] | None, object]]
"""Jobs, what is entered for each, and what that yielded."""

_LENGTH = struct.Struct("!Q")


def send(stream: IO[bytes], message: object) -> None:
    """Write one message. Raises OSError."""
    content = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(content)) + content)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:  # noqa: ANN401 (whatever was sent)
    """Read one message. Raises EOFError at the end of the stream, or in the middle of a message."""
    content = _read(stream, _LENGTH.unpack(_read(stream, _LENGTH.size))[0])
    return pickle.loads(content)  # noqa: S301 (a pipe between a process and its own parent)


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


class _Failed(Exception):  # noqa: N818 (a word for what happened, in one line)
    """Why a job was not begun."""


def main() -> None:
    """Run what the parent sends, until it sends no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes nowhere, as standard error: outcomes say what matters
    try:
        work, fetched = _begin(answers)
    except Exception as error:  # noqa: BLE001 (too little memory, for one; the parent says it in its own words)
        send(answers, (FAILED, _line(error)))
        os._exit(1)  # the thread that receives may be there already
    send(answers, (READY, None))
    while True:
        job, context, ready = fetched.get()
        send(answers, (BEGAN, None))
        send(answers, (DONE, _run(work, job, context, ready)))


def _begin(answers: IO[bytes]) -> tuple[Work[Any, Any], Fetched]:
    """Receive the work, and start the threads; return it, and the jobs that are fetched. Raises what that raises."""
    work: Work[Any, Any] = receive(sys.stdin.buffer)

    def tell(advance: Advance) -> None:
        send(answers, (ADVANCED, advance))

    listen(tell)
    received: queue.SimpleQueue[object] = queue.SimpleQueue()
    fetched: Fetched = queue.Queue(maxsize=1)
    threading.Thread(target=_receive, args=(received,), name="receive", daemon=True).start()
    threading.Thread(target=_fetch, args=(work, received, fetched), name="fetch", daemon=True).start()
    return work, fetched


def _receive(received: queue.SimpleQueue[object]) -> None:
    """Receive jobs. Runs in a thread of its own; ends the process with the input."""
    try:
        while True:
            received.put(receive(sys.stdin.buffer))
    finally:
        os._exit(0)  # the other threads may be in C


def _fetch(
    work: Work[Any, Any],
    received: queue.SimpleQueue[object],
    fetched: Fetched,
) -> None:
    """Fetch what jobs need, one ahead. Runs in a thread of its own."""
    while True:
        job = received.get()
        context = None
        try:
            context = work.fetch(job)
            ready = context.__enter__()
        except Exception as error:  # noqa: BLE001 (costs this job alone)
            context, ready = None, _Failed(_line(error))
        fetched.put((job, context, ready))


def _run(work: Work[Any, Any], job: object, context: AbstractContextManager[Any] | None, ready: object) -> object:
    """Return the outcome of a job, also of one that raised."""
    if context is None:
        return work.failed(job, str(ready))
    try:
        with _Entered(context):
            return work.run(ready)
    except Exception as error:  # noqa: BLE001 (costs this job alone)
        return work.failed(job, _line(error))


class _Entered:
    """The rest of a `with` block whose beginning was entered by another thread."""

    def __init__(self, context: AbstractContextManager[Any]) -> None:
        self._context = context

    def __enter__(self) -> None:
        """Nothing: it was entered."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)


def _line(error: Exception) -> str:
    """Return what a user reads of an error: the message of ours, and of others their kind too."""
    text = " ".join(str(error).split())
    if isinstance(error, EdgeaudioError | MemoryError):
        return mask(text) or "that takes more memory than there is"
    return mask(f"{type(error).__name__}: {text}" if text else type(error).__name__)


if __name__ == "__main__":
    main()
