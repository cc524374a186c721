"""The file that a command writes: its name, and whether it may be written. Nothing is opened or read here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.pipe import kind_of
from edgeaudio.errors import EdgeaudioError


def output_file(
    out: Path | None,
    config: SourceConfig,
    name: str | None,
    *,
    otherwise: str,
    suffixes: Collection[str],
    overwrite: bool,
) -> Path:
    """Return the file to write: `out`, or one named after the source, here or in the directory `out`.

    `name`: the source's in the settings, if it has one; `otherwise`: the file's where the source has no name that fits.
    `suffixes` are the possible ones, the default first. Raises EdgeaudioError where the file cannot be written.
    """
    source = config.address.path
    stem = name or (source.stem if source is not None and kind_of(source) is None else "") or otherwise
    usual = f"{stem}{next(iter(suffixes))}"
    file = Path(usual) if out is None else out
    try:
        if out is not None and out.is_dir():
            file = out / usual
        if file.suffix.lower() not in suffixes:
            raise EdgeaudioError(f"{file}: the end of its name gives the format: {', '.join(suffixes)}")
        if file.is_dir() or (file.exists() and not file.is_file()):
            raise EdgeaudioError(f"{file} is no regular file; name another with -o")
        if file.is_symlink() and not file.exists():
            raise EdgeaudioError(f"{file} is a symbolic link to nothing; remove it, or name another file with -o")
        check_replaceable(file, source, overwrite=overwrite)
        if not file.parent.is_dir():
            raise EdgeaudioError(f"{file.parent}: no such directory; make it first")
    except OSError as error:  # a name that is too long, a directory that may not be looked into
        raise EdgeaudioError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return file


def check_replaceable(file: Path, source: Path | None, *, overwrite: bool) -> None:
    """Raises EdgeaudioError for a file that must stay as it is, OSError for one that cannot be looked at."""
    if not file.exists():
        return
    if source is not None and file.samefile(source):
        raise EdgeaudioError(f"{file} is the recording itself; name another file with -o")
    if not overwrite:
        raise EdgeaudioError(f"{file} exists; replace it with --overwrite, or name another with -o")
