"""Convert a Keras model to TFLite, compare its scores with the original's, and write its directory.

    python -m tools.convert_model MODEL --manifest DRAFT.toml --recordings FOLDER --out models/NAME

MODEL is a `.keras` file or a SavedModel directory. The draft is a `model.toml` whose `sha256` may be
missing. FOLDER holds recordings in folders named after their labels; recordings in folders of other
names are negatives. They serve as the representative set, for the comparison and for the thresholds.

Owns: the order of the steps. Does not know: how the conversion is done (`conversion.py`), or
what the numbers mean (`comparison.py`).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest_file import manifest_toml
from edgeaudio.recognise.model import build_model
from tools.training import comparison, conversion
from tools.training.clips import cut_clips, spread
from tools.training.command import exit_status
from tools.training.draft import read_draft
from tools.training.recordings import read_folder

COMPARED_CLIPS = 3000  # with Keras, which takes ten times as long for one clip as the result does


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _options(arguments)
    return exit_status("convert_model", lambda: _convert(options))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    summary = "Converts a Keras model, proves that it still gives the same answers, writes its directory."
    parser = argparse.ArgumentParser(prog="convert_model", description=summary)
    parser.add_argument("model", type=Path, help=".keras file or SavedModel directory")
    parser.add_argument("--manifest", type=Path, required=True, help="draft of model.toml")
    parser.add_argument("--recordings", type=Path, required=True, help="folder of label/recording files")
    parser.add_argument("--out", type=Path, required=True, help="model directory to write")
    parser.add_argument("--kind", choices=conversion.KINDS, default="int8", help="numbers inside (default: int8)")
    parser.add_argument(
        "--runtime-python",
        type=Path,
        action="append",
        default=[],
        metavar="PYTHON",
        help="another Python whose TFLite runtime must run the result too; may be repeated",
    )
    parser.add_argument(
        "--max-difference",
        type=float,
        default=0.25,
        help="largest difference of a score from Keras's that is accepted (default: 0.25)",
    )
    parser.add_argument(
        "--max-mean-difference",
        type=float,
        default=0.02,
        help="largest mean difference of the scores that is accepted (default: 0.02)",
    )
    parser.add_argument(
        "--precision",
        type=float,
        default=0.95,
        help="share of clips over a label's threshold that must be right (default: 0.95)",
    )
    parser.add_argument("--keep-thresholds", action="store_true", help="keep the draft's thresholds")
    parser.add_argument("--clips", type=int, default=400, help="clips for the representative set (default: 400)")
    parser.add_argument("--card", type=Path, help="Markdown to put before the measured part of the model card")
    return parser.parse_args(arguments)


def _convert(options: argparse.Namespace) -> None:
    draft = read_draft(options.manifest)
    if options.card and not options.card.is_file():
        raise EdgeaudioError(f"{options.card}: no such file; give the model card's text, or leave --card out")
    clips = cut_clips(read_folder(options.recordings, draft.clip.sample_rate), draft)
    keras = conversion.load(options.model)
    original = conversion.Original(keras, draft)
    representative = original.inputs([clips.values[i] for i in spread(len(clips.values), options.clips)])
    content, notes = conversion.to_tflite(keras, representative, options.kind, options.runtime_python)
    manifest = dataclasses.replace(draft, sha256=hashlib.sha256(content).hexdigest())
    model = build_model(manifest, options.out / "model.tflite", content)

    compared = spread(len(clips.values), COMPARED_CLIPS)
    wanted = original.scores([clips.values[i] for i in compared])
    got = np.stack([model.scores(values) for values in tqdm(clips.values, desc="TFLite", unit="clip", leave=False)])
    got = got[:, : len(draft.labels)]
    report = comparison.compare(wanted, got[compared], clips.subset(compared), draft.labels)
    if not options.keep_thresholds:
        thresholds, calibration = comparison.calibrate(got, clips, draft.labels, draft.detector, options.precision)
        manifest = dataclasses.replace(manifest, thresholds=thresholds)
        report += calibration
    if difference := comparison.too_different(
        wanted, got[compared], options.max_difference, options.max_mean_difference
    ):
        print("\n".join(report))
        raise EdgeaudioError(f"{options.model}: {difference}; see the table above, or convert with --kind float32")

    report = conversion.facts(content, model, clips.values[0], notes) + report
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "model.tflite").write_bytes(content)
    (options.out / "model.toml").write_text(manifest_toml(manifest))
    text = options.card.read_text() if options.card else f"# {draft.name}\n\n{draft.description}\n"
    (options.out / "README.md").write_text(text.rstrip() + "\n\n## Conversion\n\n" + "\n".join(report) + "\n")
    print("\n".join(report))
    print(f"\nwritten: {options.out}")


if __name__ == "__main__":
    raise SystemExit(main())
