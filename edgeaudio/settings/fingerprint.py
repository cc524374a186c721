"""The content of everything that a reload reads, as one digest: to see that it changed, without reading settings.

Owns: which files count. Does not know: what is in them, when to look (agent/settings_watch.py).

Content counts and not time or inode: Kubernetes replaces a folder by another link, editors replace files, and what was
only touched is no change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from edgeaudio.settings.places import CREDENTIALS_VARIABLE, config_path
from edgeaudio.settings.reading import MAX_FILE_BYTES, MAX_SECRET_BYTES, SettingsError, read_file_or_pipe
from edgeaudio.settings.schema import Settings
from edgeaudio.settings.sources import credential_files


def fingerprint(path: Path | None, settings: Settings) -> str:
    """Return the digest of the settings file, the files of credentials, and the password files of the sources.

    `path`: as the command line names the settings file. What cannot be read counts as such, so that a reload says why.
    A pipe cannot be read again, and never changes.
    """
    digest = blake2b(digest_size=16)
    for file, limit_bytes in _files(path, settings):
        digest.update(f"{file}\0".encode("utf-8", "surrogateescape"))
        try:
            content = b"" if file.is_fifo() else read_file_or_pipe(file, limit_bytes + 1)
        except OSError as error:
            content = str(error.errno).encode()
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()


def _files(path: Path | None, settings: Settings) -> Iterator[tuple[Path, int]]:
    if (config := config_path(path)) is not None:
        yield config, MAX_FILE_BYTES
    if folder := os.environ.get(CREDENTIALS_VARIABLE):
        try:
            for _, file in credential_files(Path(folder)):
                yield file, MAX_SECRET_BYTES
        except SettingsError:
            yield Path(folder), 0
    for source in settings.sources.values():
        if source.password_file is not None:
            yield source.password_file, MAX_SECRET_BYTES
