"""Make home-plus, which fuses models/home and YAMNet: its entry in edgeaudio's catalogue, from one table of labels.

    python -m models.home.train.make_home_plus [--evaluation ears.json]

`ears.json` is what `evaluate_ears --json` wrote: thresholds and tables are taken from it, and kept in home_plus.json
beside this file. A file of thresholds alone (a table of labels, as JSON or TOML) replaces those that it names. The same
home_plus.json and the same models give the same files.

Owns: how home-plus is described, and what is in its card (the text: home_plus_card.md). Does not know: scores, which
member hears which label (home_plus_labels.py).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import FILE_NAME, DetectorSection, EntitySection, FuseSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import check_manifest, manifest_toml, read_manifest
from edgeaudio.toml_reader import TomlError, loads
from models.home.train.evaluate_ears import CATALOGUE, ESC10, HOME, tables
from models.home.train.home_plus_labels import LABELS, Label
from tools.training.command import exit_status
from tools.training.event_trials import threshold
from tools.training.label_entities import ENTITIES

NAME = "home-plus"
VERSION = "1.0"
CHOSEN = Path(__file__).with_name("home_plus.json")
CARD = "README.md"
CARD_TEXT = Path(__file__).with_name("home_plus_card.md")
# the mean of two clips finds more, and sooner, than two votes of three (docs/experiments/home.md)
DETECTOR = DetectorSection(on=0.5, off=0.3, mean_of=2, hold_s=6.0)

COMMAND = "python -m models.home.train.evaluate_ears runs/home --yamnet YAMNET --data ../shared/data --cache PACKAGES"
NO_FIGURES = (
    "The thresholds are not calibrated yet: they are 0.5, and those of home for carbon-monoxide alarms, sirens and\n"
    "smoke alarms. Nothing was measured of home-plus with them."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="make_home_plus", description="Writes home-plus's entry of the catalogue.")
    parser.add_argument(
        "--evaluation", type=Path, metavar="FILE", help="take thresholds from there: JSON of evaluate_ears, or a table"
    )
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: make(options.evaluation, CATALOGUE / NAME, CHOSEN))


def make(evaluation: Path | None, out: Path, chosen: Path) -> None:
    """Write manifest and card into `out`, by `chosen`, which an evaluation changes first. Raises EdgeaudioError."""
    known = json.loads(chosen.read_text())
    if evaluation is not None:
        known = changed(known, evaluation)
    files = {out / FILE_NAME: manifest_toml(manifest_of(known["thresholds"])), out / CARD: card_of(known["tables"])}
    out.mkdir(exist_ok=True)
    for file, text in files.items():
        file.write_text(text)
    chosen.write_text(json.dumps(known, indent=2) + "\n")


def changed(known: Mapping[str, Any], evaluation: Path) -> dict[str, Any]:
    """Return thresholds and tables with those of an evaluation. Raises EdgeaudioError."""
    table = _read(evaluation)
    found, lines = table, known["tables"]
    if "models" in table:
        if NAME not in table["models"]:
            raise EdgeaudioError(f"{evaluation}: has no {NAME}; give --yamnet to evaluate_ears")
        found, lines = (
            table["models"][NAME]["all kinds"]["thresholds"],
            tables(table["models"], table.get(ESC10, {})),
        )
    for label, on in found.items():
        if label not in LABELS:
            raise EdgeaudioError(f"{evaluation}: {label} is no label of {NAME}")
        if isinstance(on, bool) or not isinstance(on, int | float) or not 0 <= on <= 1:
            raise EdgeaudioError(f"{evaluation}: {label}: {on!r} is no threshold from 0 to 1")
    return {"thresholds": {**known["thresholds"], **found}, "tables": lines}


def manifest_of(thresholds: Mapping[str, float]) -> Manifest:
    """Return the manifest, with those thresholds by label."""
    home, yamnet = read_manifest(HOME / FILE_NAME), read_manifest(CATALOGUE / "yamnet" / FILE_NAME)
    by_home = {label: about.home for label, about in LABELS.items() if about.home}
    by_yamnet = {label: about.yamnet for label, about in LABELS.items() if about.yamnet}
    weights = {label: about.home_weight for label, about in LABELS.items() if about.home_weight != 1}
    entities = {label: ENTITIES.get(label, about.entity) for label, about in LABELS.items()}
    manifest = Manifest(
        name=NAME,
        version=VERSION,
        labels=tuple(LABELS),
        sha256="0" * 64,  # computed, and not written
        clip=home.clip,
        input=InputSection("waveform"),  # as a fused model has it
        description="Sounds of a house or a farm, by home and YAMNet together",
        license=f"{home.license} AND {yamnet.license}",
        training_data=(*home.training_data, *yamnet.training_data),
        detector=DETECTOR,
        thresholds={label: threshold(thresholds[label]) for label in LABELS},
        fuse=(
            FuseSection("home", home.sha256, by_home, weights),
            # a bark is over in YAMNet's clips while home's still hold it
            FuseSection("yamnet", yamnet.sha256, by_yamnet, window="clip"),
        ),
        announce=tuple(LABELS),
        entities={label: entity for label, entity in entities.items() if entity != EntitySection()},
    )
    check_manifest(manifest, Path(FILE_NAME))
    return manifest


def card_of(lines: Sequence[str]) -> str:
    """Return the model card. lines: Tables of an evaluation; none: nothing was measured."""
    rows = [f"| `{label}` | {_by(about)} |" for label, about in LABELS.items()]
    return CARD_TEXT.read_text().format(
        labels="\n".join(rows), command=COMMAND, figures="\n".join(lines) if lines else NO_FIGURES, name=NAME
    )


def _by(about: Label) -> str:
    if not about.yamnet:
        return "home"
    if not about.home:
        return f"YAMNet (`{about.yamnet}`)"
    more = "" if about.home_weight == 1 else f", home's {about.home_weight:g} times"
    return f"home and YAMNet (`{about.yamnet}`): mean of the logits{more}"


def _read(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text()
        table = json.loads(text) if file.suffix == ".json" else loads(text)
    except OSError as error:
        raise EdgeaudioError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, TomlError) as error:
        raise EdgeaudioError(f"{file}: is neither JSON nor TOML: {error}") from None
    if not isinstance(table, dict):
        raise EdgeaudioError(f"{file}: is no table of thresholds")
    return table


if __name__ == "__main__":
    raise SystemExit(main())
