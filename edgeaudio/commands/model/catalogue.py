"""The catalogue: models that are not bundled, with where they are, what they cost and their whole manifest.

An entry is a folder of edgeaudio/catalogue/: entry.toml (the fields of Entry), model.toml (the manifest as it is
installed; its sha256 is the model's) and README.md, if its card is not the usual one. An entry without a file is a
fused model, made of others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.dataclass_toml import TableError, build
from edgeaudio.recognise.manifest import FILE_NAME
from edgeaudio.toml_reader import TomlError, loads

ENTRY_FILE_NAME = "entry.toml"
CARD_FILE_NAME = "README.md"
FOLDER = Path(__file__).resolve().parents[2] / "catalogue"


@dataclass(frozen=True, slots=True)
class Fields:
    """What entry.toml has."""

    summary: str  # what the model is for, a line
    license: str  # of the model, by its SPDX identifier
    n_bytes: int = 0  # of the model file
    url: str = ""  # of the model file, or
    package: str = ""  # a package of the Python package index, as "name==1.0",
    file: str = ""  # and the model's path in its wheel
    platform: str = ""  # whose wheel, where a package has none for all
    labels_file: str = ""  # a path in the wheel: labels that model.toml does not have
    labels_sha256: str = ""
    terms: str = ""  # of a licence that is to be accepted first: what it asks, a line
    origin: str = ""  # who made the model, a line
    requires: tuple[str, ...] = ()  # entries that this one is made of


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue."""

    name: str
    fields: Fields
    manifest: str  # text of model.toml
    card: str  # text of README.md

    @property
    def sha256(self) -> str:
        """Of the model file; empty if there is none."""
        return str(self._table().get("sha256", ""))

    @property
    def has_file(self) -> bool:
        """False for a fused model."""
        return bool(self.fields.url or self.fields.package)

    def _table(self) -> dict[str, Any]:
        return loads(self.manifest)


def catalogue(folder: Path | None = None) -> dict[str, Entry]:
    """Return the entries by name. Raises EdgeaudioError for a damaged one."""
    found = sorted((FOLDER if folder is None else folder).glob(f"*/{ENTRY_FILE_NAME}"))
    return {path.parent.name: _read(path.parent) for path in found}


def download_bytes(entry: Entry, entries: Mapping[str, Entry]) -> int:
    """Return the bytes of an entry's model file, and of those of the entries that it is made of."""
    return entry.fields.n_bytes + sum(entries[name].fields.n_bytes for name in entry.fields.requires)


def _read(folder: Path) -> Entry:
    try:
        fields: Fields = build(Fields, loads((folder / ENTRY_FILE_NAME).read_text()))
        card = folder / CARD_FILE_NAME
        entry = Entry(folder.name, fields, (folder / FILE_NAME).read_text(), card.read_text() if card.exists() else "")
        return entry if entry.card else Entry(entry.name, fields, entry.manifest, _usual_card(entry))
    except (OSError, TomlError, TableError) as error:
        raise EdgeaudioError(f"{folder}: the catalogue is damaged: {error}; install edgeaudio again") from None


def _usual_card(entry: Entry) -> str:
    fields = entry.fields
    source = fields.url or f"{fields.file} in the package {fields.package} of the Python package index"
    if not entry.has_file:
        source = f"what {', '.join(fields.requires)} and others find, together"
    lines = [
        f"# {entry.name}\n",
        f"{fields.summary}.\n",
        *([f"{fields.origin}.\n"] if fields.origin else []),
        f"- From: {source}",
        *([f"- SHA-256: `{entry.sha256}`"] if entry.has_file else []),
        f"- Licence: {fields.license}" + (f": {fields.terms}" if fields.terms else ""),
        "\nAdded from edgeaudio's catalogue, which has its manifest.",
    ]
    return "\n".join(lines) + "\n"
