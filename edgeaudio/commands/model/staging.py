"""The folder of added models: a new one is made beside the others, tried in a process of its own, and renamed whole.

Owns: one writer at a time, what is left behind (nothing), and the time and the crash of a model that is tried.
Does not know: where a model is from.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import sync_folder

TRIAL_LIMIT_S = 120.0
_PROGRAM = "edgeaudio: "


@dataclass(frozen=True, slots=True)
class Staging:
    """Where a model is being made."""

    final: Path
    folder: Path  # becomes `final`; it lies beside it
    work: Path  # for what else is needed on the way


@contextmanager
def writing_models(place: Path) -> Iterator[None]:
    """Have the folder of models for oneself; it is made, and removed again if the block leaves it empty.

    Raises EdgeaudioError if it cannot be written, or another process writes there.
    """
    missing = [folder for folder in (place, *place.parents) if not os.path.lexists(folder)]
    try:
        place.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _unwritable(error, place) from None
    try:
        if place in missing:
            place.chmod(0o755)  # the agent of a service is another user than who adds models for it
        with suppress(OSError):  # some network file systems have no locks
            _lock(descriptor, place)
        yield
    except BrokenPipeError:  # of who reads what is printed
        raise
    except OSError as error:
        raise _unwritable(error, place) from None
    finally:
        os.close(descriptor)
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()


@contextmanager
def staged(place: Path, name: str) -> Iterator[Staging]:
    """Yield where to make a model; at the end of the block it gets its name. Raises OSError.

    To be called within `writing_models`.
    """
    staging = Staging(place / name, place / f".{name}.new", place / f".{name}.work")
    folders = (staging.folder, staging.work)
    try:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
            folder.mkdir()
        yield staging
        for path in (*staging.folder.rglob("*"), staging.folder):
            if path.is_dir():
                path.chmod(0o755)
                sync_folder(path)
            else:
                path.chmod(0o644)
                _sync(path)
        staging.folder.rename(staging.final)
        sync_folder(place)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def remove_model(folder: Path) -> None:
    """Remove a model's folder, its name first. Raises OSError."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    if old.is_symlink():
        old.unlink()
    else:
        shutil.rmtree(old)


def tried(name: str, *arguments: str | Path) -> str:
    """Run `edgeaudio model ARGUMENTS` in a process of its own; returns its standard output. Raises EdgeaudioError.

    A damaged file can end the process that loads it, or keep it busy for ever.
    """
    command = [sys.executable, "-m", "edgeaudio", "model", *map(str, arguments)]
    try:
        done = subprocess.run(  # noqa: S603 (this program)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EdgeaudioError(f"{name}: did not run within {TRIAL_LIMIT_S:g} s, and was not added") from None
    if done.returncode < 0:
        with suppress(ValueError):
            killed = signal.Signals(-done.returncode).name
            raise EdgeaudioError(
                f"{name}: ends the process that loads it ({killed}), so it was not added: its file is damaged"
            )
    if done.returncode:
        said = [line.removeprefix(_PROGRAM) for line in done.stderr.splitlines() if line.startswith(_PROGRAM)]
        said = said or [line for line in done.stdout.splitlines() if "  FAILS  " in line] or ["does not run"]
        raise EdgeaudioError(f"{name}: was not added: {' '.join(said[0].split())}")
    return done.stdout


def _lock(descriptor: int, place: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EdgeaudioError(f"{place}: another `edgeaudio model add` is at work there; wait for its end") from None


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _unwritable(error: OSError, place: Path) -> EdgeaudioError:
    return EdgeaudioError(f"{error.filename or place}: cannot be written: {error.strerror}; or name another with --to")
