"""Asking a running agent something, over a socket in its runtime directory: both ends.

Owns: the socket, its file, and the JSON that goes over it: a question, after which the asker is silent, then an answer.
No question at all is that of how the agent is. Does not know: the answers, or what is made of them.
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
_TURN_S = 1.0  # nobody who asks may hold up the next
_MAX_QUESTION_BYTES = 64 << 10
_PAUSE_S = 1.0  # where nobody can be let in: no descriptor is left, say, which passes
_MAX_ANSWER_BYTES = 4 << 20
_MAX_WAITING = 8


class NoAnswerError(Exception):
    """An agent's socket is there, and nobody answers as an agent does; the message says what happened."""


class HealthSocket:
    """Listens beside the agent. Raises OSError where that cannot be."""

    def __init__(self, folder: Path, answer: Callable[[object], object]) -> None:
        """`answer` is called in the thread of `run` with the question, and returns what JSON can hold."""
        self._answer = answer
        self._closed = threading.Event()
        self._path = folder / NAME
        # nobody finds a socket that does not listen yet, and takes the agent for one that was killed
        unready = folder / f"{NAME}.new"
        unready.unlink(missing_ok=True)  # of a process that was killed
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
        """Answer whoever asks, one after the other, until `close`."""
        while True:
            try:
                asker = self._socket.accept()[0]
            except OSError:
                if self._closed.wait(_PAUSE_S):
                    return
                continue
            with asker, contextlib.suppress(OSError):
                asker.settimeout(_TURN_S)
                asker.sendall(json.dumps(self._answer(_question(asker))).encode() + b"\n")

    def close(self) -> None:
        """End `run`, and leave no file behind."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with contextlib.suppress(OSError):  # the end of the agent goes on, whatever became of that folder
            self._path.unlink()


def _question(asker: socket.socket) -> object:
    """What is asked; None for what is no question, or not finished in time."""
    data = bytearray()
    try:
        while len(data) <= _MAX_QUESTION_BYTES and (piece := asker.recv(4096)):
            data += piece
        return json.loads(data) if len(data) <= _MAX_QUESTION_BYTES else None
    except (TimeoutError, ValueError, RecursionError):
        return None


def ask(path: Path, limit_s: float, question: object = None) -> object:
    """The answer of the agent whose socket that is. Raises NoAnswerError."""
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
                connection.settimeout(max(deadline_s - time.monotonic(), 0.001))  # 0: not to wait at all, an error
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
    """The path in few characters: the address of a socket has room for 107."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
