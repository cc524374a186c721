"""`edgeaudio model add`: models of the catalogue, and files of the web, of packages and of this machine.

Owns: what can be added, the question about a licence, what a model's folder holds, and what is printed.
Does not know: where a model's file comes from (model_files.py), or how a model gets its name (staging.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgeaudio import toml_writer
from edgeaudio.commands.model.catalogue import CARD_FILE_NAME, Entry, catalogue
from edgeaudio.commands.model.model_files import other_file, refuse_hash, take_files
from edgeaudio.commands.model.staging import Staging, staged, tried, writing_models
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.bundled_models import added_models, bundled_models
from edgeaudio.recognise.manifest import FILE_NAME, MODEL_FILE_NAME, Manifest
from edgeaudio.recognise.manifest_file import parse_manifest, read_manifest
from edgeaudio.recognise.model import read_model_file
from edgeaudio.redact import mask
from edgeaudio.state_dir import models_dir
from edgeaudio.terminal import ask, on_terminal, print_out
from edgeaudio.toml_reader import loads

_NAME = re.compile(r"(?=.{1,64}$)[a-z0-9]+(-[a-z0-9]+)*")  # of a manifest, and of a table of the settings
_SHA256 = re.compile(r"[0-9a-f]{64}")


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
    usual, fetch = other_file(wishes.what, wishes.sha256, sorted(entries))
    name = wishes.name or usual
    if not _NAME.fullmatch(name):
        raise EdgeaudioError(f"--name {name}: is not made of at most 64 of a-z, 0-9 and single hyphens")
    if name in entries or name in bundled_models():
        raise EdgeaudioError(f"{name}: a model of edgeaudio has that name; say another with --name")
    with writing_models(place):
        _require_free(place / name, wishes)
        with staged(place, name) as staging:
            _describe(name, fetch(staging.work), wishes, staging)
    _print_next(name, wishes, read_manifest(place / name / FILE_NAME))
    return 0


def _add_entry(entry: Entry, wishes: Wishes, place: Path) -> None:
    final = place / entry.name
    if _is_there(entry, final):
        print_out(f"{entry.name}: is in {final} already")
        return
    _require_free(final, wishes)
    _accept(entry, wishes)
    with staged(place, entry.name) as staging:
        labels = take_files(entry, wishes.offline, staging) if entry.has_file else None
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
        _print_next(entry.name, wishes, read_manifest(final / FILE_NAME))


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
        refuse_hash(wishes.what, manifest.sha256, wishes.sha256)
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


def _print_next(name: str, wishes: Wishes, manifest: Manifest) -> None:
    model = name if wishes.to is None else str(wishes.to / name)
    path = "" if wishes.to is None else f' with path = "{wishes.to.absolute() / name}"'
    more = ""
    if 0 < len(manifest.announce) < len(manifest.reported):
        labels = ", ".join(map(toml_writer.quoted, manifest.announce))
        more = (
            f", and below it those that you want of these (without `labels` all {len(manifest.reported)} are reported)"
        )
        more += f"\n  labels = [{labels}]"
    print_out(f"\nNext:\n  edgeaudio score --model {model} RECORDING\n  [models.{name}]{path} in the settings{more}")
