"""Make models/alarms: scenes, training, conversion.

    python -m models.alarms.train.train_alarms --data ../shared/data --out models/alarms

Owns: the recipe of that one model. Does not know: how scenes sound (`alarm_scenes.py`), how a model is converted
(`convert_model.py`), or how good it is (`evaluate_alarms.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from edgeaudio.recognise.manifest import ClipSection, DetectorSection, InputSection, Manifest
from edgeaudio.recognise.manifest_file import manifest_toml
from models.alarms.train.alarm_scenes import SAMPLE_RATE, Course, drawn_alarm, long_scene, training_scene
from tools import convert_model
from tools.synth.alarm_sounds import LABELS
from tools.training.command import exit_status, recipe_parser, runtimes
from tools.training.corpus import Corpus, read_corpus
from tools.training.draft import NO_HASH
from tools.training.label_entities import ENTITIES
from tools.training.recordings import write_wav

CLIP_S = 4.0
PERIOD_MS = 500
N_MFCC = 40
NORMALISED_LIMIT = 5.0  # deviations; what lies further out would only coarsen the int8 steps of the rest
CHUNK = 500
BATCH = 64
CALIBRATION_PER_LABEL = 120
CALIBRATION_OTHERS = 600
CALIBRATION_PRECISION = 0.99
CALIBRATION_COURSE = Course(begin_s=1.0, end_s=12.0, duration_s=12.0)

CARD = """# alarms

This model recognises smoke alarms (temporal-three: ISO 8201, NFPA 72, UL 217; without a cadence: EN 14604),
carbon-monoxide alarms (temporal-four: UL 2034) and sirens (wail, yelp, hi-lo; the two tones of France, Germany and
Italy). The three scores are independent: a smoke alarm and a siren at once give two labels.

## What it is

A clip of 4 s at 16 kHz becomes 199 frames of 40 MFCC (64 HTK mels from 100 Hz, frames of 32 ms every 20 ms), each
coefficient normalised with the mean and deviation in `model.toml`. Five convolutions over time and three wide depthwise
ones cover the whole clip. All weights and activations are int8. An event begins when two of the last three clips are
above the threshold. It ends 6 s after the last clip above the lower threshold, because a carbon-monoxide alarm pauses
for 5 s.

## What it is not

This model is not a certified detector, and does not replace one. It recognises an alarm by the cadence of its standard,
or, where EN 14604 asks for none, by its pitch: about 2.6 to 3.7 kHz, steady or in beeps of up to 0.35 s that follow
each other fast. What sounds so for seconds and is none (a whistle, a timer) is reported too. It does not recognise
voice alarms and bells. Of a cadence, a smoke alarm is reported only after its pause was heard, so that a reversing
lorry is not reported. Alarms were synthesised for training and for the evaluation below; no recording of a real alarm
was available.

## How it was made

    python -m models.alarms.train.train_alarms --data {data} --out models/alarms \\
        --clips {clips} --epochs {epochs} --seed {seed}
    python -m models.alarms.train.evaluate_alarms models/alarms --data {data} \\
        --keras runs/alarms/model.keras --trials 60 --card models/alarms/README.md

The {clips:,} clips are synthesised alarms (45 %), sounds that resemble them (35 %), and neither. They are mixed with
recordings and synthesised surroundings at -5 to 30 dB, a fifth of them at 30 to 70 dB, and pass through synthetic
rooms, distance, cheap microphones, clipping and codecs. A third of the sounders are nearly pure tones. Of the smoke
alarms 35 % are of EN 14604, of the sirens 45 % have two tones; 15 % of what resembles an alarm are beeps of a house.
The recordings (each with its licence in `model.toml`) are ESC-10 folds 1 to 3, two of three speakers of the Free Spoken
Digit Dataset, every other file of the Orcasound signal catalogue and the drone-audio-dataset. The rest is for the
evaluation.
"""

# A pulse group of the carbon-monoxide alarm comes every 5.7 s: an event must outlive the pause.
DETECTOR = DetectorSection(on=0.5, off=0.3, votes=2, votes_of=3, hold_s=6.0)
BASE = FeatureConfig(
    kind="mfcc", sample_rate=SAMPLE_RATE, n_fft=512, hop_length=320, n_mels=64, n_mfcc=N_MFCC, fmin=100.0,
    mel_scale="htk",
)  # fmt: skip

Floats = NDArray[np.float32]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = recipe_parser("train_alarms", "Trains and converts models/alarms.", Path("runs/alarms"))
    parser.add_argument("--clips", type=int, default=36_000, help="training clips (default: 36000)")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2, help="processes that make scenes (default: 2)")
    options = parser.parse_args(arguments)
    return exit_status(parser.prog, lambda: _make(options))


def _make(options: argparse.Namespace) -> None:
    options.work.mkdir(parents=True, exist_ok=True)
    clips, answers, counts = _training_set(options)
    sample = clips[:: max(1, len(clips) // 5000)].astype(np.float32)
    mean, std = sample.mean(axis=(0, 1)), sample.std(axis=(0, 1))
    keras_file = options.work / "model.keras"
    _trained(keras_file, clips, (mean, std), np.concatenate([answers, counts], axis=1), options)

    draft = options.work / "draft.toml"
    draft.write_text(manifest_toml(_manifest(mean, std)))
    recordings = options.work / "calibration"
    _write_calibration(recordings, options.data, options.seed)
    card = options.work / "card.md"
    card.write_text(CARD.format(clips=len(clips), epochs=options.epochs, seed=options.seed, data=options.data))
    arguments = [str(keras_file), "--manifest", str(draft), "--recordings", str(recordings), "--out", str(options.out)]
    arguments += ["--precision", str(CALIBRATION_PRECISION), "--card", str(card)]
    arguments += runtimes(options)
    if convert_model.main(arguments):
        raise EdgeaudioError("the conversion failed; the trained model is " + str(keras_file))


def _training_set(options: argparse.Namespace) -> tuple[NDArray[np.float16], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return MFCC of all training clips before normalisation, answers, and whether they count."""
    folder = options.work / f"scenes-{options.seed}"
    folder.mkdir(exist_ok=True)
    chunks = range(-(-options.clips // CHUNK))
    with ProcessPoolExecutor(options.workers) as pool:
        made = pool.map(partial(_chunk, options.data, folder, options.seed), chunks)
        files = list(tqdm(made, total=len(chunks), desc="scenes", unit=f"{CHUNK} clips"))
    parts = [np.load(file) for file in files]
    clips, answers, counts = (np.concatenate([part[key] for part in parts]) for key in ("clips", "answers", "counts"))
    return clips, answers, counts


_corpora: dict[Path, Corpus] = {}  # read once a process


def _chunk(data: Path, folder: Path, seed: int, number: int) -> Path:
    """Return the file of CHUNK clips, which depend on seed and number alone; made if it does not exist."""
    file = folder / f"{number:04}.npz"
    if file.exists():
        return file
    if data not in _corpora:
        _corpora[data] = read_corpus(data, SAMPLE_RATE, "train")
    rng = np.random.default_rng((seed, number))
    scenes = [training_scene(_corpora[data], CLIP_S, SAMPLE_RATE, rng) for _ in range(CHUNK)]
    unfinished = file.with_suffix(".part.npz")
    np.savez(
        unfinished,
        clips=np.stack([features(scene.samples, BASE).astype(np.float16) for scene in scenes]),
        answers=np.array([scene.answers for scene in scenes]),
        counts=np.array([scene.counts for scene in scenes]),
    )
    unfinished.rename(file)
    return file


def _trained(
    file: Path, clips: NDArray[np.float16], scaling: tuple[Floats, Floats], targets: NDArray[np.bool_],
    options: argparse.Namespace,
) -> None:  # fmt: skip
    """Train and save the network."""
    import keras  # noqa: PLC0415 - slow to import, and not wanted in the processes that make scenes

    from tools.training.fit import Plan, fit  # noqa: PLC0415
    from tools.training.networks import cadence_network  # noqa: PLC0415

    keras.utils.set_random_seed(options.seed)
    network, scoring = cadence_network(clips.shape[1], clips.shape[2], len(LABELS))
    plan = Plan(options.epochs, len(clips) // BATCH, options.seed)
    folder = options.work / f"training-{options.seed}-{len(clips)}-{options.epochs}"
    fit(network, partial(_batches, clips, scaling, targets), plan, folder, "alarms")
    scoring.save(file)


def _batches(
    clips: NDArray[np.float16], scaling: tuple[Floats, Floats], targets: NDArray[np.bool_], rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """Yield one epoch: normalised clips, some with a masked band, and their answers."""
    mean, std = scaling
    order = rng.permutation(len(clips))
    for first in range(0, len(order) - BATCH + 1, BATCH):
        chosen = order[first : first + BATCH]
        values = (clips[chosen].astype(np.float32) - mean) / std
        values = np.clip(values, -NORMALISED_LIMIT, NORMALISED_LIMIT)
        for clip in values[: BATCH // 3]:  # the order is random: any third will do
            band = rng.integers(0, clip.shape[1] - 4)
            clip[:, band : band + rng.integers(1, 5)] = 0.0
        yield values, targets[chosen].astype(np.float32)


def _manifest(mean: Floats, std: Floats) -> Manifest:
    config = replace(
        BASE,
        mean=tuple(round(float(value), 4) for value in mean),
        std=tuple(round(float(value), 4) for value in std),
        clip_min=-NORMALISED_LIMIT,
        clip_max=NORMALISED_LIMIT,
    )
    return Manifest(
        name="alarms",
        version="1.1.0",
        labels=LABELS,
        sha256=NO_HASH,
        clip=ClipSection(SAMPLE_RATE, round(CLIP_S * SAMPLE_RATE), PERIOD_MS),
        input=InputSection("mfcc", ("batch", "time", "feature")),
        description="Smoke alarms (temporal-three, EN 14604), carbon-monoxide alarms (temporal-four) and sirens",
        license="MIT",
        training_data=(
            "synthesised alarms and look-alikes (tools/synth/)",
            "ESC-10, folds 1 to 3 (K. J. Piczak, 2015; CC0 and CC BY 3.0)",
            "Free Spoken Digit Dataset, speakers jackson and theo (Z. Jackson and others; CC BY-SA 4.0)",
            "Orcasound signal catalogue, every other file (MIT)",
            "drone-audio-dataset, every other file (G. Vladimir; MIT)",
        ),
        features=config,
        detector=DETECTOR,
        entities={label: ENTITIES[label] for label in LABELS},
    )


def _write_calibration(folder: Path, data: Path, seed: int) -> None:
    """Write recordings for the representative set and the thresholds, over the recordings of training."""
    corpus = read_corpus(data, SAMPLE_RATE, "train")
    wanted: list[tuple[str, str | None]] = [
        *((label, label) for label in LABELS for _ in range(CALIBRATION_PER_LABEL)),
        *(("other", None) for _ in range(CALIBRATION_OTHERS)),
    ]
    for index, (name, label) in enumerate(tqdm(wanted, desc="calibration", unit="file", leave=False)):
        rng = np.random.default_rng((seed, 2, index))
        (folder / name).mkdir(parents=True, exist_ok=True)
        make = partial(drawn_alarm, label) if label else None
        samples = long_scene(make, rng.uniform(0, 25), CALIBRATION_COURSE, corpus, SAMPLE_RATE, rng)
        write_wav(folder / name / f"{index:04}.wav", samples, SAMPLE_RATE)


if __name__ == "__main__":
    raise SystemExit(main())
