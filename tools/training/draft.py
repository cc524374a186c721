"""Drafts of manifests: a `model.toml` whose model does not exist yet, without its hash."""

from __future__ import annotations

import tomllib
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import Manifest
from edgeaudio.recognise.manifest_file import parse_manifest

NO_HASH = "0" * 64


def read_draft(path: Path) -> Manifest:
    """Return a manifest that may lack its hash. Raises EdgeaudioError if the file is missing or wrong."""
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise EdgeaudioError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EdgeaudioError(f"{path}: is not TOML: {error}") from None
    return parse_manifest({"sha256": NO_HASH} | table, path)
