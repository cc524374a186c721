"""Reads the files that settings are in, within bounds of bytes and time.

Owns: SettingsError, and what is wrong with a file. Does not know: what settings there are.
"""

from __future__ import annotations

import errno
import os
import select
import time
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import open_at_once
from edgeaudio.redact import mask
from edgeaudio.toml_reader import TomlError, loads

MAX_FILE_BYTES = 1_000_000
MAX_SECRET_BYTES = 64 * 1024
WRITER_WAIT_S = 10.0  # for all that is written to a pipe


class SettingsError(EdgeaudioError):
    """Settings that cannot be used. `lines` holds one line for each fault, without secrets."""

    def __init__(self, *lines: str) -> None:
        self.lines = tuple(map(mask, lines))
        super().__init__("\n".join(self.lines))


def read_text(path: Path, limit_bytes: int, what: str) -> str:
    """Read a file as UTF-8. `what` names the file in the SettingsError that is raised where it cannot be read."""
    try:
        content = read_file_or_pipe(path, limit_bytes + 1)
    except OSError as error:
        raise SettingsError(f"{path}: {what} cannot be read: {error.strerror}") from None
    if len(content) > limit_bytes:
        raise SettingsError(f"{path}: {what} is larger than {limit_bytes} bytes")
    try:
        return content.decode().removeprefix("\ufeff")  # Windows' mark of UTF-8
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: {what} is not UTF-8 text (byte {error.start})") from None


def read_file_or_pipe(path: Path, max_bytes: int) -> bytes:
    """Read at most `max_bytes` of a file, or of a pipe that is written to within WRITER_WAIT_S. Raises OSError."""
    with os.fdopen(open_at_once(path), "rb", buffering=0) as file:
        poll = select.poll()
        poll.register(file, select.POLLIN)
        content = b""
        deadline_s = time.monotonic() + WRITER_WAIT_S
        while len(content) < max_bytes:
            if not poll.poll(max(0.0, deadline_s - time.monotonic()) * 1000):
                raise TimeoutError(errno.ETIMEDOUT, f"nothing was written to it within {WRITER_WAIT_S:g} s")
            more = file.read(max_bytes - len(content))
            if more == b"":
                break
            content += more or b""
        return content


def read_secret(path: Path) -> str:
    """Read the secret in a file, without the newline that editors put at its end. Raises SettingsError."""
    secret = read_text(path, MAX_SECRET_BYTES, "secret file").removesuffix("\n").removesuffix("\r")
    if not secret:
        raise SettingsError(f"{path}: secret file is empty")
    if "\n" in secret or "\0" in secret:
        raise SettingsError(f"{path}: secret file has more than one line")
    return secret


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """Parse the text of a settings file. Raises SettingsError with the place of the fault."""
    try:
        return loads(text)
    except TomlError as error:
        where = f"{path}:{error.place}" if error.place else str(path)
        raise SettingsError(f"{where}: this is not TOML: {error.problem}") from None
