"""Give YAMNet's entry in edgeaudio's catalogue the thresholds that an evaluation found.

    python -m models.home.train.calibrate_yamnet ears.json

`ears.json` is what `evaluate_ears --yamnet ... --json` wrote. Each label and group that the manifest announces gets the
threshold that all kinds of background together give, the other labels keep the detector's.

Owns: which part of the manifest is measured. Does not know: scores, how thresholds are chosen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME
from edgeaudio.recognise.manifest_file import manifest_toml, read_manifest
from models.home.train.evaluate_ears import ANNOUNCED, CATALOGUE
from tools.training.command import exit_status
from tools.training.event_trials import threshold

MANIFEST = CATALOGUE / "yamnet" / FILE_NAME


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="calibrate_yamnet", description="Writes thresholds into YAMNet's manifest.")
    parser.add_argument("evaluation", type=Path, metavar="FILE", help="JSON of evaluate_ears with --yamnet")
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: calibrate(options.evaluation, MANIFEST))


def calibrate(evaluation: Path, file: Path) -> None:
    """Write the thresholds of an evaluation into YAMNet's manifest. Raises EdgeaudioError."""
    manifest = read_manifest(file)
    try:
        found = json.loads(evaluation.read_text())[ANNOUNCED]["all kinds"]["thresholds"]
    except OSError as error:
        raise EdgeaudioError(f"{evaluation}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise EdgeaudioError(f"{evaluation}: is no JSON of evaluate_ears with --yamnet") from None
    if set(found) != set(manifest.announce):
        raise EdgeaudioError(f"{evaluation}: has other labels than {file} announces; run evaluate_ears again")
    thresholds = {label: threshold(found[label]) for label in manifest.announce}
    file.write_text(manifest_toml(replace(manifest, thresholds=thresholds)))


if __name__ == "__main__":
    raise SystemExit(main())
