"""What a model's own metadata tells, in the manifest's words.

Owns: the translation of normalisation, thresholds and texts; the user's word goes before it.
Does not know: how the metadata is read, labels (outputs.py), sample rates (draft.py).
"""

from __future__ import annotations

import numpy as np

from edgeaudio.commands.model.frames import COUNTS
from edgeaudio.commands.model.init_options import Work
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.recognise.tflite_metadata import Metadata, TensorMetadata

LONGEST_LINE = 1000


def take_model(work: Work, metadata: Metadata) -> None:
    """Description and license, each in one line; what is longer than that is no line for people."""
    for key, text in (("description", metadata.description), ("license", metadata.license)):
        line = " ".join(text.split())
        if 0 < len(line) <= LONGEST_LINE:
            work.table.setdefault(key, line)


def take_input(work: Work, told: TensorMetadata) -> None:
    """(x - mean) / std of the file's metadata, unless the user says another."""
    section, features_section = work.section("input"), work.table.get("features", {})
    sizes = {len(told.mean), len(told.std)} - {0}
    if not sizes or "scale" in section or "offset" in section:
        return
    values = np.array([*told.mean, *told.std])
    if not np.isfinite(values).all() or 0 in told.std:
        raise EdgeaudioError(
            f"{work.file}: its metadata normalises by numbers that make no sense (mean {list(told.mean)}, std "
            f"{list(told.std)}); say --set input.scale=1 if it wants none"
        )
    mean, std = told.mean or (0.0,), told.std or (1.0,)
    if sizes == {1}:
        section |= {"scale": 1 / std[0], "offset": -mean[0] / std[0]}
    elif sizes <= {1, features_section.get(COUNTS.get(section["kind"], ""))}:
        features_section.setdefault("mean", list(mean))
        features_section.setdefault("std", list(std))
    else:
        work.guesses.append(f"input.scale = 1: its metadata normalises by {max(sizes)} numbers, which fit no axis")


def take_output(work: Work, told: TensorMetadata) -> None:
    """The score under which the file's metadata says that nothing is told, as the threshold of all labels."""
    if told.calibrated:
        work.guesses.append(
            "scores: as the model gives them; the file's metadata has a table to calibrate them by, which is not used"
        )
    # 0 is what writers put there who have none
    if told.threshold is not None and 0 < told.threshold <= 1:
        detector, usual = work.section("detector"), DetectorSection()
        if "on" not in detector:
            detector["on"] = round(told.threshold, 6)
            detector.setdefault("off", round(Threshold(usual.on, usual.off).moved(detector["on"]).off, 6))
