"""TFLite metadata as keys of the manifest: normalisation, thresholds and texts. Options precede it."""

from __future__ import annotations

import numpy as np

from edgeaudio.commands.model.frames import COUNTS
from edgeaudio.commands.model.init_options import Work
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import DetectorSection, Threshold
from edgeaudio.recognise.tflite_metadata import Metadata, TensorMetadata

LONGEST_LINE = 1000


def take_model(work: Work, metadata: Metadata) -> None:
    """Fill in description and license, each in one line; longer texts than LONGEST_LINE are left out."""
    for key, text in (("description", metadata.description), ("license", metadata.license)):
        line = " ".join(text.split())
        if 0 < len(line) <= LONGEST_LINE:
            work.table.setdefault(key, line)


def take_input(work: Work, tensor: TensorMetadata) -> None:
    """Fill in the normalisation of the metadata, (x - mean) / std, unless the options have one."""
    section, features_section = work.section("input"), work.table.get("features", {})
    sizes = {len(tensor.mean), len(tensor.std)} - {0}
    if not sizes or "scale" in section or "offset" in section:
        return
    values = np.array([*tensor.mean, *tensor.std])
    if not np.isfinite(values).all() or 0 in tensor.std:
        raise EdgeaudioError(
            f"{work.file}: its metadata normalises by numbers that make no sense (mean {list(tensor.mean)}, std "
            f"{list(tensor.std)}); say --set input.scale=1 if it wants none"
        )
    mean, std = tensor.mean or (0.0,), tensor.std or (1.0,)
    if sizes == {1}:
        section |= {"scale": 1 / std[0], "offset": -mean[0] / std[0]}
    elif sizes <= {1, features_section.get(COUNTS.get(section["kind"], ""))}:
        features_section.setdefault("mean", list(mean))
        features_section.setdefault("std", list(std))
    else:
        work.guesses.append(f"input.scale = 1: its metadata normalises by {max(sizes)} numbers, which fit no axis")


def take_output(work: Work, tensor: TensorMetadata) -> None:
    """Fill in the score threshold of the metadata as the threshold of all labels."""
    if tensor.calibrated:
        work.guesses.append(
            "scores: as the model gives them; the file's metadata has a table to calibrate them by, which is not used"
        )
    # 0 means none
    if tensor.threshold is not None and 0 < tensor.threshold <= 1:
        detector, usual = work.section("detector"), DetectorSection()
        if "on" not in detector:
            detector["on"] = round(tensor.threshold, 6)
            detector.setdefault("off", round(Threshold(usual.on, usual.off).moved(detector["on"]).off, 6))
