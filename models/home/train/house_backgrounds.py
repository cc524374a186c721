"""Backgrounds of a house: a folder for each kind, for `tools.evaluate_model` and for the training of models/home.

    python -m models.home.train.house_backgrounds --data ../shared/data --cache CACHE --out runs/ears/backgrounds
    python -m models.home.train.house_backgrounds --side train --data ../shared/data --cache CACHE --out BACKGROUNDS

Owns: the kinds, how much there is of each, and the labels that sound in them. Each file (a minute, 32 kHz, mono)
depends on the side, the seed, its kind and its number alone. No recording, voice or microphone is on both sides; what
is synthesised is of the same makers, so that a fold's model must not have heard the kind (`kind_scenes.dealt`).
Does not know: which recordings there are (`house_sources.py`), how sounds are synthesised (`house_makers.py`), models.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from models.home.train import home_speech
from models.home.train.house_makers import MAKERS
from models.home.train.house_sources import LANGUAGES, Side, fetch, sources
from tools.synth import acoustics, held_out_speech
from tools.synth.espeak import SPEECH, require_espeak
from tools.synth.event_scenes import is_sounding
from tools.synth.held_out_speech import espeak
from tools.synth.kind_scenes import PRESENT
from tools.synth.scenes import received, travelled
from tools.synth.voices import FLITE, FLITE_VOICES, JUDGING_FLITE_VOICES, JUDGING_SENTENCES, SENTENCES, Voice, say
from tools.training.command import exit_status, first_mark
from tools.training.corpus import HALF
from tools.training.recordings import audio_files, read_audio, without_padding, write_wav

Samples = NDArray[np.float32]

SAMPLE_RATE = 32_000
MINUTES = 12  # of each kind
FILE_S = 60.0
RECORDED = 0.5  # of the files of a kind that has both, how many are of recordings
KINDS = (*MAKERS, "animals", "music", "speech", "tv")
MUSIC = "music_playing"
# that sound in a kind, as home-plus names them; a model may lack them
LABELS = {"kitchen": ("running_water",), "music": (MUSIC,), "speech": (SPEECH,), "tv": (SPEECH, MUSIC)}
BED_DB = (-50.0, -30.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="house_backgrounds", description="Makes backgrounds to judge a model on.")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of recordings (drone, hydrophone, microphones)"
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder that Debian's packages are unpacked into")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--side", choices=get_args(Side), default="held_out", help="to judge or to train on (default: held_out)"
    )
    parser.add_argument("--minutes", type=int, default=MINUTES, help=f"of each kind (default: {MINUTES})")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args(arguments)

    def work() -> None:
        packages = fetch(options.cache)
        write_backgrounds(options.data, packages, options.out, options.minutes, options.seed, side=options.side)

    return exit_status(parser.prog, work)


def write_backgrounds(
    data: Path, packages: Mapping[str, Path], out: Path, minutes: int, seed: int, *, side: Side = "held_out"
) -> None:
    """Write the files that do not exist yet.

    Raises:
        EdgeaudioError: Recordings or programs are missing, or `out` was made with another seed or of the other side.
    """
    require_espeak()
    out.mkdir(parents=True, exist_ok=True)
    mark = f"{side} {seed}"
    if (made := first_mark(out / "made", f"{mark}\n").strip()) != mark:
        raise EdgeaudioError(f"{out}: was made as {made}, not {mark} (side, seed); remove it, or give another folder")
    found = sources(data, packages, side)
    microphones = audio_files(data / "microphones", "give --data")[HALF[side]]
    for kind in KINDS:
        folder = out / kind
        folder.mkdir(exist_ok=True)
        if labels := LABELS.get(kind):
            (folder / PRESENT).write_text("\n".join(labels) + "\n")
        for number in tqdm(range(minutes), desc=kind, unit="file", leave=False):
            file = folder / f"{number:03}.wav"
            if file.exists():
                continue
            rng = np.random.default_rng((seed, zlib.crc32(f"{side} {kind}".encode()), number))
            sound = _heard(_sound(kind, number, found, side, rng), kind, microphones, rng)
            unfinished = file.with_suffix(".part")
            write_wav(unfinished, sound, SAMPLE_RATE)
            unfinished.rename(file)


def _sound(
    kind: str, number: int, found: Mapping[str, Sequence[Path]], side: Side, rng: np.random.Generator
) -> Samples:
    if kind == "speech":
        return _speech(number, found, side, rng)
    if kind == "tv":
        spoken = acoustics.at_level(_speech(number, found, side, rng), 0.0)
        played = acoustics.at_level(_strung(found["music"], rng, pause_s=0.0), 0.0)
        return spoken + played * np.float32(10 ** (rng.uniform(-20, 0) / 20))
    if kind in found and (kind not in MAKERS or number % 2 < 2 * RECORDED):
        return _strung(found[kind], rng, pause_s=0.0 if kind in ("engines", "music") else 1.5)
    return MAKERS[kind](FILE_S, SAMPLE_RATE, rng)


def _speech(number: int, found: Mapping[str, Sequence[Path]], side: Side, rng: np.random.Generator) -> Samples:
    """Return one stranger: a person of one of the packages, or a synthesiser."""
    languages = LANGUAGES[side]
    turn = number % (len(languages) + 3)
    if turn < len(languages):
        return _strung(found[f"speech_{languages[turn]}"], rng, pause_s=0.4)
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < FILE_S * SAMPLE_RATE:
        pieces.append(_synthesised(side, rng, flite=turn == len(languages)))
        pieces.append(np.zeros(round(rng.exponential(0.6) * SAMPLE_RATE), np.float32))
    return _cut(pieces)


def _synthesised(side: Side, rng: np.random.Generator, *, flite: bool) -> Samples:
    """Return a few sentences by espeak-ng in one of its languages, or by flite."""
    if flite:
        names, texts = (FLITE_VOICES, SENTENCES) if side == "train" else (JUDGING_FLITE_VOICES, JUDGING_SENTENCES)
        voice = Voice(FLITE, str(rng.choice(names)), rng.uniform(0.8, 1.25), 50)
        return say(voice, str(rng.choice(texts)), SAMPLE_RATE)
    if side == "train":
        return home_speech.read_aloud(str(rng.choice(list(home_speech.SENTENCES))), 6.0, SAMPLE_RATE, rng)
    return espeak(" ".join(rng.permutation(held_out_speech.SENTENCES)), SAMPLE_RATE, rng)


def _strung(paths: Sequence[Path], rng: np.random.Generator, *, pause_s: float) -> Samples:
    """Return recordings one after the other, each at a level of its own, with pauses between."""
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < FILE_S * SAMPLE_RATE:
        recording = _read(paths[int(rng.integers(len(paths)))])
        if not is_sounding(recording, SAMPLE_RATE):
            continue
        longest = round(FILE_S / 2 * SAMPLE_RATE)
        start = int(rng.integers(max(1, len(recording) - longest)))
        pieces.append(acoustics.at_level(recording[start : start + longest], rng.uniform(-10, 0)))
        if pause_s:
            pieces.append(np.zeros(round(rng.exponential(pause_s) * SAMPLE_RATE), np.float32))
    return _cut(pieces)


def _heard(sound: Samples, kind: str, microphones: Sequence[Path], rng: np.random.Generator) -> Samples:
    """Return the sound as a device has it: over some noise, half of it from a room and by a cheap microphone.

    The kind "microphones" goes through the impulse response of a real one, always.
    """
    sound = acoustics.at_level(sound[: round(FILE_S * SAMPLE_RATE)], 0.0)
    bed = acoustics.coloured_noise(len(sound), rng, slope=rng.uniform(0, 2))
    sound = sound + bed * np.float32(10 ** (rng.uniform(*BED_DB) / 20))
    if kind == "microphones":
        response = _read(microphones[int(rng.integers(len(microphones)))])
        size = len(sound) + len(response) - 1
        fast = 1 << (size - 1).bit_length()
        sound = np.fft.irfft(np.fft.rfft(sound, fast) * np.fft.rfft(response, fast), fast)[: len(sound)].astype(
            np.float32
        )
    if kind == "microphones" or rng.random() < 0.5:
        return received(travelled(sound, SAMPLE_RATE, rng), SAMPLE_RATE, rng)
    return np.clip(acoustics.at_level(sound, rng.uniform(-40, -20)), -1.0, 1.0)


def _cut(pieces: Sequence[Samples]) -> Samples:
    return np.concatenate(pieces)[: round(FILE_S * SAMPLE_RATE)]


@lru_cache(maxsize=512)
def _read(path: Path) -> Samples:
    return without_padding(read_audio(path, SAMPLE_RATE))


if __name__ == "__main__":
    raise SystemExit(main())
