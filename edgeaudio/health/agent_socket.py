"""Questions to a running agent, over a socket in its runtime directory: both ends.

Owns: the socket, its file, and the protocol: the client sends a question as JSON and shuts its side down, the agent
sends an answer as JSON. An empty question asks how the agent is. Does not know: what answers contain.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = "health.sock"
_CLIENT_TIMEOUT_S = 1.0  # a slow client must not delay the next
_MAX_QUESTION_BYTES = 64 << 10
_PAUSE_S = 1.0  # after a failed accept, which passes: no descriptor is free, for instance
_MAX_ANSWER_BYTES = 4 << 20
_MAX_WAITING = 8


class NoAnswerError(Exception):
    """An agent's socket exists, but no agent answers; the message has the reason."""


class HealthSocket:
    """Server side, beside the agent. Raises OSError if the socket cannot be made."""

    def __init__(self, folder: Path, answer: Callable[[object], object]) -> None:
        """`answer` is called in the thread of `run` with the question, and returns a value for JSON."""
        self._answer = answer
        self._closed = threading.Event()
        self._path = folder / NAME
        # a socket in its place that does not listen yet would look like that of a killed agent
        unready = folder / f"{NAME}.new"
        unready.unlink(missing_ok=True)  # left by a killed process
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(unready) as name:
                self._socket.bind(name)
            self._socket.listen(_MAX_WAITING)
            unready.replace(self._path)
        except BaseException:
            self._socket.close()
            raise

    def run(self) -> None:
        """Answer clients, one after the other, until `close`."""
        while True:
            try:
                client = self._socket.accept()[0]
            except OSError:
                if self._closed.wait(_PAUSE_S):
                    return
                continue
            with client, contextlib.suppress(OSError):
                client.settimeout(_CLIENT_TIMEOUT_S)
                client.sendall(json.dumps(self._answer(_question(client))).encode() + b"\n")

    def close(self) -> None:
        """End `run`, and leave no file behind."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with contextlib.suppress(OSError):  # a missing folder must not disturb the end of the agent
            self._path.unlink()


def _question(client: socket.socket) -> object:
    """Return the question; None if it is not JSON, or not complete in time."""
    data = bytearray()
    try:
        while len(data) <= _MAX_QUESTION_BYTES and (piece := client.recv(4096)):
            data += piece
        return json.loads(data) if len(data) <= _MAX_QUESTION_BYTES else None
    except (TimeoutError, ValueError, RecursionError):
        return None


def ask(path: Path, limit_s: float, question: object = None) -> object:
    """Return the answer of the agent with that socket. Raises NoAnswerError."""
    data = bytearray()
    deadline_s = time.monotonic() + limit_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short(path) as name:
            connection.settimeout(limit_s)
            connection.connect(name)
            if question is not None:
                connection.sendall(json.dumps(question).encode())
            connection.shutdown(socket.SHUT_WR)
            while len(data) <= _MAX_ANSWER_BYTES and (piece := connection.recv(65536)):
                data += piece
                connection.settimeout(max(deadline_s - time.monotonic(), 0.001))  # 0 would mean non-blocking
        return json.loads(data)
    except ConnectionRefusedError:
        raise NoAnswerError(
            "it ended without being stopped; start it again, or remove this file where it shall not run any more"
        ) from None
    except BlockingIOError:
        raise NoAnswerError("it does not answer: those who asked before still wait") from None
    except TimeoutError:
        raise NoAnswerError(f"it does not answer within {limit_s:g} s") from None
    except OSError as error:
        raise NoAnswerError(f"it cannot be asked: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise NoAnswerError("its answer cannot be read") from None


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Provide a short name of the path: a socket's address holds 107 characters."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
