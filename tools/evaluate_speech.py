"""Evaluate voice activity, the cut into utterances, and what a recogniser makes of them, on real recordings.

    python -m tools.evaluate_speech --data ../shared/data [--groups 200] [--seed 7]
    python -m tools.evaluate_speech --data ../shared/data --voices /usr/share/asterisk/sounds
    python -m tools.evaluate_speech --data ../shared/data --recogniser http://127.0.0.1:8000/v1

Without a recogniser: in how many clips of ESC-10 an utterance is found, and how much of the spoken digits in its
noises at 5 dB is missing; or how much of other voices is. The figures of edgeaudio/recognise/utterances.py were chosen
on the half "chosen on", whose speakers and noises are not in the half "judged on". With one: its word errors with
edgeaudio's cuts and with the true ones, and how many clips of noise it has a text for. Sentences are spoken by `flite`
(Debian: flite). Prints Markdown tables.

Owns: what is counted. Does not know: how scenes are made (`synth/speech_scenes.py`), how a recogniser is spoken to.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.utterances import UtterancePipeline
from edgeaudio.speech.opening import RecogniserConfig, open_recogniser
from edgeaudio.types import UTTERANCE_RATE, Block, Samples, Utterance
from tools.synth.flite import VOICES, spoken
from tools.synth.speech_scenes import (
    GROUP,
    NOISES,
    PIECE,
    Saying,
    Scene,
    digit_groups,
    digits,
    in_noise,
    string,
    trimmed,
)
from tools.synth.word_errors import errors_of, words_of
from tools.training.command import exit_status
from tools.training.recordings import SUFFIXES, Recording, audio_files, read_audio, without_padding

SNR_DB = 5.0
CUT_SNR_DB = 15.0  # of strings that a recogniser hears
PAD_S = 0.3  # around a true cut
PROMPTS = 100  # of each other voice
PROMPT_SUFFIXES = frozenset({".g722", *SUFFIXES})
HALVES = {
    "chosen on: two speakers, noises of folds 1 and 2": (("george", "jackson"), (1, 2)),
    "judged on: the third speaker, noises of folds 3 and 4": (("theo",), (3, 4)),
    "exchanged: two speakers, noises of folds 3 and 4": (("theo", "jackson"), (3, 4)),
    "exchanged: the third speaker, noises of folds 1 and 2": (("george",), (1, 2)),
}
SENTENCES = (
    "the front door was left open during the night",
    "please close the window in the kitchen before you leave",
    "somebody is standing at the gate with a large parcel",
    "the washing machine has finished and the water is off",
    "I will be home late because the train was cancelled",
    "the dog has been barking since early in the morning",
    "turn the heating down when nobody is in the house",
    "there was a loud noise behind the garage a moment ago",
    "call the neighbours and ask whether they heard it too",
    "the alarm in the basement needs a new battery",
    "we left the keys under the stone beside the stairs",
    "the children are playing in the garden with a ball",
)
_AT = datetime(2026, 1, 1, tzinfo=UTC)
_BLOCK = 4000  # samples that are fed at once

Recognise = Callable[[Samples], str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="evaluate_speech", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder with esc10 and speech_digits")
    parser.add_argument(
        "--voices",
        type=Path,
        help="a folder with one for each other voice, as those of Debian's asterisk-core-sounds-*-g722",
    )
    parser.add_argument("--groups", type=int, default=200, help="of digits in noise, in each half (default: 200)")
    parser.add_argument("--strings", type=int, default=4, help="of each voice that are recognised (default: 4)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--recogniser", metavar="URL", help="wyoming://, http(s):// or funasr+ws(s)://")
    parser.add_argument("--language", default="en")
    options = parser.parse_args(arguments)
    return exit_status("evaluate_speech", lambda: _evaluate(options))


def _evaluate(options: argparse.Namespace) -> None:
    clips = [
        Recording(path, path.parent.name, read_audio(path, UTTERANCE_RATE))
        for path in audio_files(options.data / "esc10", "give a folder with ESC-10")
    ]
    sayings = digits(options.data / "speech_digits")
    if options.voices is not None:
        _print_voices(clips, options)
    elif options.recogniser is None:
        _print_activity(clips, sayings, options)
    else:
        recogniser = open_recogniser(RecogniserConfig(url=options.recogniser, language=options.language))
        with closing(recogniser):
            _print_words(sayings, clips, lambda samples: recogniser.recognise(samples).text, options)


def _print_activity(clips: Sequence[Recording], sayings: Sequence[Saying], options: argparse.Namespace) -> None:
    print("| clips of ESC-10 | have an utterance |\n|---|---|")
    opened = [(clip, bool(cut(clip.samples))) for clip in clips]
    for label in sorted({clip.label for clip in clips}):
        of_label = [found for clip, found in opened if clip.label == label]
        print(f"| {label} | {sum(of_label)} of {len(of_label)} |")
    for folds in ((1, 2), (3, 4)):
        of_folds = [found for clip, found in opened if clip.fold in folds]
        print(f"| folds {folds[0]} and {folds[1]} | {_share(sum(of_folds), len(of_folds))} |")
    print(f"| all | {_share(sum(found for _, found in opened), len(opened))} |\n")
    print(f"| groups of {GROUP} digits at {SNR_DB:g} dB | speech that is missing | groups not found |\n|---|---|---|")
    noises = [replace(clip, samples=without_padding(clip.samples)) for clip in clips if clip.label in NOISES]
    total = Missed(0, 0, 0, 0)
    for name, (speakers, folds) in HALVES.items():
        rng = np.random.default_rng(options.seed)
        voices = [saying for saying in sayings if saying.speaker in speakers]
        sounds = [noise for noise in noises if noise.fold in folds]
        scenes = digit_groups(voices, sounds, options.groups, SNR_DB, rng)
        missed = missed_in((scene, cut(scene.samples)) for scene in scenes)
        total = total + missed
        print(f"| {name} | {missed.share:.1%} | {missed.lost} of {missed.scenes} |", flush=True)
    print(f"| all | {total.share:.1%} | {total.lost} of {total.scenes} |")


def _print_voices(clips: Sequence[Recording], options: argparse.Namespace) -> None:
    """Print how much is missing of other voices, PROMPTS of each, which speak for 1 to 5 s."""
    print(f"| voices at {SNR_DB:g} dB | speech that is missing | prompts not found |\n|---|---|---|")
    rng = np.random.default_rng(options.seed)
    noises = [replace(clip, samples=without_padding(clip.samples)) for clip in clips if clip.label in NOISES]
    for folder in sorted(path for path in options.voices.iterdir() if path.is_dir() and not path.is_symlink()):
        paths = [path for path in sorted(folder.rglob("*.*")) if path.suffix in PROMPT_SUFFIXES]
        paths = [path for path in paths if path.parent.name != "silence"]  # prompts of Asterisk that say nothing
        sounds = []
        for k in rng.permutation(len(paths)):
            with suppress(EdgeaudioError):  # some prompts of Asterisk are empty
                sounds.append(trimmed(read_audio(paths[k], UTTERANCE_RATE)))
        scenes = []
        for sound in [each for each in sounds if 1.0 <= len(each) / UTTERANCE_RATE <= 5.0][:PROMPTS]:
            clean = string([Saying(folder.name, "", sound)], [], 2.5, 1.5)
            scenes.append(in_noise(clean, noises[rng.integers(len(noises))], SNR_DB, rng))
        if scenes:
            missed = missed_in((scene, cut(scene.samples)) for scene in scenes)
            print(f"| {folder.name} | {missed.share:.1%} | {missed.lost} of {missed.scenes} |", flush=True)


def _print_words(
    sayings: Sequence[Saying], clips: Sequence[Recording], recognise: Recognise, options: argparse.Namespace
) -> None:
    rng = np.random.default_rng(options.seed)
    noises = [replace(clip, samples=without_padding(clip.samples)) for clip in clips if clip.label in NOISES]
    print("| strings | words | errors with the true cuts | with edgeaudio's | utterances, true | edgeaudio's |")
    print("|---|---|---|---|---|---|")
    for name, groups in (("digits, four at a time", _digit_strings(sayings, options.strings, rng)),
                         ("sentences", _sentence_strings(options.strings, rng))):  # fmt: skip
        clean = [string(group, rng.uniform(0.9, 1.6, len(group) - 1).tolist(), 1.5, 1.5) for group in groups]
        noisy = [in_noise(scene, noises[rng.integers(len(noises))], CUT_SNR_DB, rng) for scene in clean]
        for kind, scenes in ((name, clean), (f"{name}, in noise at {CUT_SNR_DB:g} dB", noisy)):
            _print_errors(kind, scenes, recognise)
    noise = [clip for clip in clips if clip.label in NOISES]
    texts = sum(bool(recognise(clip.samples)) for clip in noise)
    cuts = [said.samples for clip in noise for said in cut(clip.samples)]
    print(f"\nClips of noise ({', '.join(NOISES)}) that it has a text for: {_share(texts, len(noise))};", end=" ")
    print(f"with voice activity before it: {_share(sum(bool(recognise(said)) for said in cuts), len(noise))}")


def _print_errors(kind: str, scenes: Sequence[Scene], recognise: Recognise) -> None:
    pad = round(PAD_S * UTTERANCE_RATE)
    n_words = true_errors = cut_errors = n_true = n_cut = 0
    for scene in scenes:
        wanted = words_of(" ".join(saying.text for saying in scene.sayings))
        true = [scene.samples[max(0, begin - pad) : end + pad] for begin, end in scene.spans]
        found = [said.samples for said in cut(scene.samples)]
        n_words += len(wanted)
        n_true, n_cut = n_true + len(true), n_cut + len(found)
        true_errors += errors_of(wanted, words_of(" ".join(map(recognise, true))))
        cut_errors += errors_of(wanted, words_of(" ".join(map(recognise, found))))
    rates = f"{true_errors / n_words:.1%} | {cut_errors / n_words:.1%}"
    print(f"| {kind} | {n_words} | {rates} | {n_true} | {n_cut} |", flush=True)


def _digit_strings(sayings: Sequence[Saying], n: int, rng: np.random.Generator) -> list[list[Saying]]:
    """Return strings of six groups of digits by each speaker; a group is one saying."""
    strings = []
    for speaker in sorted({saying.speaker for saying in sayings}):
        own = [saying for saying in sayings if saying.speaker == speaker]
        for _ in range(n):
            groups = []
            for _ in range(6):
                chosen = [own[k] for k in rng.choice(len(own), GROUP, replace=False)]
                scene = string(chosen, rng.uniform(0.1, 0.35, GROUP - 1).tolist(), 0.0, 0.0)
                groups.append(Saying(speaker, " ".join(each.text for each in chosen), scene.samples))
            strings.append(groups)
    return strings


def _sentence_strings(n: int, rng: np.random.Generator) -> list[list[Saying]]:
    return [
        [spoken(SENTENCES[k], voice) for k in rng.permutation(len(SENTENCES))[:6]] for voice in VOICES for _ in range(n)
    ]


@dataclass(frozen=True, slots=True)
class Missed:
    """Pieces of speech in scenes, those that no utterance holds, and scenes of which none does."""

    pieces: int
    missing: float
    scenes: int
    lost: int

    @property
    def share(self) -> float:
        return self.missing / self.pieces

    def __add__(self, other: Missed) -> Missed:
        return Missed(
            self.pieces + other.pieces,
            self.missing + other.missing,
            self.scenes + other.scenes,
            self.lost + other.lost,
        )


def cut(samples: Samples) -> list[Utterance]:
    """Return the utterances of float32 samples `(n,)` at UTTERANCE_RATE."""
    pipeline = UtterancePipeline()
    found: list[Utterance] = []
    for offset in range(0, len(samples), _BLOCK):
        block = Block("scene", 0, offset, _AT, UTTERANCE_RATE, samples[offset : offset + _BLOCK])
        found += pipeline.feed(block)
    return [*found, *pipeline.flush()]


def missed_in(results: Iterable[tuple[Scene, Sequence[Utterance]]]) -> Missed:
    """Return what the utterances of scenes miss."""
    total = Missed(0, 0, 0, 0)
    for scene, found in results:
        covered: NDArray[np.bool_] = np.zeros(len(scene.samples), np.bool_)
        for said in found:
            first = round(said.offset_s * UTTERANCE_RATE)
            covered[first : first + len(said.samples)] = True
        shares = covered[: len(scene.is_speech) * PIECE].reshape(-1, PIECE).mean(axis=1)[scene.is_speech]
        heard = float(shares.sum())
        total += Missed(len(shares), len(shares) - heard, 1, int(heard == 0))
    return total


def _share(some: int, of: int) -> str:
    if not of:
        raise EdgeaudioError("there is nothing to count; is that folder ESC-10, with its names as they came?")
    return f"{some} of {of}, {some / of:.1%}"


if __name__ == "__main__":
    sys.exit(main())
