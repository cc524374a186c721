"""Make models/home: recordings, cross-validation, training, conversion, thresholds, events.

    python -m models.home.train.train_home --data ../shared/data --out models/home

Run again, it continues where it was stopped.

Owns: the recipe of that one model, and its card. Does not know: what it is trained on (`home_recordings.py`), how
(`train_model.py`), how it is converted (`convert_model.py`), or how its events are judged (`evaluate_home.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.manifest import DetectorSection
from edgeaudio.recognise.manifest_file import manifest_toml
from models.home.train import evaluate_home
from models.home.train.home_recordings import SAMPLE_RATE, write_home_set
from tools import convert_model, train_model
from tools.training.command import exit_status, recipe_parser, runtimes
from tools.training.draft import read_draft
from tools.training.label_entities import ENTITIES
from tools.training.lessons import load_teacher

N_MELS = 80
# A pulse group of the carbon-monoxide alarm comes every 5.7 s: an event must outlive the pause.
DETECTOR = DetectorSection(on=0.5, off=0.3, votes=2, votes_of=3, hold_s=6.0)

CARD = """# home

This model recognises sounds of a house or a farm: crying babies, chainsaws, ticking clocks, barking dogs, crackling
fire, helicopters, sneezes, rain, roosters, sea waves, smoke alarms (temporal-three), carbon-monoxide alarms
(temporal-four), sirens and speech. The fourteen scores are independent: a dog that barks in the rain gives two labels.

## What it is

A clip of 4 s at 32 kHz becomes 197 frames of {features} (frames of 64 ms every 20 ms, HTK mels from 50 Hz), in dB below
the clip's maximum, so that a microphone's gain does not matter. Seven convolutions recognise the content of two
seconds, and one wide convolution beside them the rhythm of the clip. All weights and activations are int8. An event
begins when two of the last three clips are above the label's threshold. It ends 6 s after the last clip above the lower
threshold, because a carbon-monoxide alarm pauses for 5 s. A clip takes a sixth of the time of a depthwise CNN of
120,000 parameters (`python -m tools.bench model_call`).

## What it is not

This model is not a certified detector, and does not replace one. Its alarms were synthesised, because no recordings of
real alarms were available, and only alarms with a standard's cadence were used. It was trained on few recordings
of each sound: 32 of each ESC-10 label, 41 of babies by as many phones, 12 synthesised ones of rain, sea waves, fires,
helicopters and clocks, two speakers and a speech synthesiser. It may miss or misname other sounds; the tables below
show how often. It takes most beeps that resemble an alarm for that alarm, a reversing lorry's among them. If that
matters, run [alarms](../alarms/README.md) too, and leave `smoke_alarm`, `co_alarm` and `siren` out of this model's
labels.

## How it was made

    python -m models.home.train.train_home --data {data} --out models/home --clips {clips} --seed {seed}{more}

This command makes the recordings (`runs/home/home.csv` lists them), trains and evaluates a model for each ESC-10 fold,
trains the bundled model on all folds, converts it, and evaluates its events. The last step alone, without training:

    python -m models.home.train.evaluate_home runs/home --data {data} --model models/home --card models/home/README.md
{taught}
## Cross-validation

The recordings are the official folds 1 to 4 of ESC-10 (K. J. Piczak, 2015). Each fold is judged by a model that was
trained, from random weights, on the other folds and all synthesised sounds. A recording's label is the one of all
fourteen with the best mean score over its clips. int8 is the `.tflite` file with edgeaudio's own clips, features and
model code. The recipe was chosen on these same folds (`docs/experiments/home.md`), so that part of the result is
luck.

{report}
"""

OF_BACKGROUNDS = (
    "asterisk-core-sounds, English and French (asterisk-moh-opsound, every other file, too; CC BY-SA 3.0)",
    "sonic-pi-samples (CC0), gcompris-qt and tuxpaint-stamps (GPL, CC BY-SA and CC0, by file): every other file",
    "MicIRP, every other impulse response (Xaudia)",
    "speech made with flite",
)
TAUGHT = """
Beside the labels, the network learnt the scores that another model gives to each recording: {name} {version}
({license}). The layer for those is left out of what ships.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = recipe_parser("train_home", "Trains, judges and converts models/home.", Path("runs/home"))
    parser.add_argument("--kind", choices=("log_mel", "mfcc"), default="log_mel")
    parser.add_argument("--backgrounds", type=Path, help="folder of backgrounds, each of its folders a kind")
    parser.add_argument("--teacher", type=Path, help="directory of a model whose scores are learnt too (YAMNet's)")
    parser.add_argument("--clips", type=int, default=300_000, help="training clips of each model (default: 300000)")
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: _make(options))


def _make(options: argparse.Namespace) -> None:
    work: Path = options.work
    recordings = write_home_set(options.data, work, options.seed, backgrounds=options.backgrounds)
    trained = [str(recordings), "--out", str(work), "--kind", options.kind, "--clips", str(options.clips)]
    trained += ["--sample-rate", str(SAMPLE_RATE), "--n-mels", str(N_MELS)]
    trained += ["--teacher", str(options.teacher)] if options.teacher else []
    _must(train_model.main([*trained, "--seed", str(options.seed)]), "training")

    draft = replace(
        read_draft(work / "draft.toml"),
        name="home",
        description="Sounds of a house or a farm: animals, people, weather, engines, alarms, speech",
        license="MIT",
        training_data=(
            "ESC-10, folds 1 to 4 (K. J. Piczak, 2015; CC0 and CC BY 3.0)",
            "Free Spoken Digit Dataset, speakers jackson and theo (Z. Jackson and others; CC BY-SA 4.0)",
            "donateacry-corpus, recordings of 41 phones (Donate-a-cry campaign; ODbL 1.0, contents DbCL 1.0)",
            "speech made with espeak-ng",
            "synthesised alarms, textures and other sounds (tools/synth/)",
            "Orcasound signal catalogue, every other file (MIT)",
            "drone-audio-dataset, every other file (G. Vladimir; MIT)",
            *(OF_BACKGROUNDS if options.backgrounds else ()),
        ),
        detector=DETECTOR,
        announce=tuple(ENTITIES),
        entities=ENTITIES,
    )
    (work / "home.toml").write_text(manifest_toml(draft))
    card = work / "card.md"
    features = (
        f"{draft.features.n_features} {'MFCC' if options.kind == 'mfcc' else 'log-mel bands'}" if draft.features else ""
    )
    report = (work / "report.md").read_text()
    card.write_text(card_text(options, features, report))
    converted = [str(work / "model.keras"), "--manifest", str(work / "home.toml"), "--out", str(options.out)]
    converted += ["--recordings", str(options.data / "esc10"), "--keep-thresholds", "--card", str(card)]
    converted += runtimes(options)
    _must(convert_model.main(converted), "conversion")
    judged = [str(work), "--data", str(options.data), "--model", str(options.out)]
    _must(evaluate_home.main([*judged, "--card", str(options.out / "README.md")]), "evaluation")


def card_text(options: argparse.Namespace, features: str, report: str) -> str:
    """Return the model card, up to what the conversion and the evaluation add."""
    given = {name: getattr(options, name) for name in ("teacher", "backgrounds")}
    more = "".join(f" --{name} {path}" for name, path in given.items() if path)
    taught = ""
    if options.teacher:
        manifest = load_teacher(options.teacher).manifest
        taught = TAUGHT.format(
            name=manifest.name, version=manifest.version, license=manifest.license or "no licence named"
        )
    return CARD.format(
        features=features, data=options.data, clips=options.clips, seed=options.seed, report=report, more=more,
        taught=taught,
    )  # fmt: skip


def _must(status: int, step: str) -> None:
    if status:
        raise EdgeaudioError(f"the {step} failed, see above; what was done so far is kept")


if __name__ == "__main__":
    raise SystemExit(main())
