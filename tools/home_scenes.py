"""Sound to try the household model on: a labelled sound at a known moment over other sound, and sound without it.

Owns: which sound a fold's model may be tried on (none of it was trained on), how scenes and negatives are put
together, and what is known to be in them. A sound carries the label that its folder or its maker has.
Does not know: models, scores, thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from tools import acoustics, alarm_sounds
from tools.alarm_scenes import BACKGROUND_KINDS, HALF, HELD_OUT_SPEAKER, UNLABELLED, received, travelled
from tools.alarm_sounds import make_alarm
from tools.espeak import require_espeak
from tools.held_out_speech import SENTENCES, espeak
from tools.other_sounds import BEEPING, KINDS, make_other
from tools.recordings import Recording, read_audio, read_folder, without_padding

Samples = NDArray[np.float32]

SNRS_DB = (20, 10, 5)
SCENE_S = 20.0
ONSET_S = (6.0, 9.0)
ALARM_S = 10.0
NEGATIVE_S = 60.0  # one stretch of made-up negatives
PIECE_S = 0.025
SOUNDING_DB = 20.0  # under the loudest piece of a sound, the rest of it sounds
SPEECH = "speech"
SYNTHESISED = "synthesised"
LOOKALIKES = "synthesised beeps and rings"
# A made-up voice is no speech, and no proof of its absence either: it is among the negatives, not behind a label.
BACKGROUNDS = tuple(kind for kind in BACKGROUND_KINDS if kind != "voice")


@dataclass(frozen=True, slots=True)
class Target:
    """The labelled sound of a scene, in seconds from the scene's beginning."""

    label: str
    snr_db: int
    onset_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """A run of sound, float32 (n,), and the labels that are in it; a scene has a target, a negative has none."""

    kind: str
    samples: Samples
    present: frozenset[str]
    target: Target | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """What the model that never saw `fold` may be tried on."""

    fold: int
    sample_rate: int  # Hz
    labelled: Mapping[str, Sequence[Samples]]  # the fold's recordings, by label
    digits: Sequence[Samples]  # spoken by one who is not in the training
    others: Mapping[str, Sequence[Samples]]  # recordings that carry no label, by collection

    def trials(self, label: str, made: int) -> int:
        """Scenes of a label at one SNR: its recordings, or `made` where it is synthesised; 0: nothing to try."""
        if label in self.labelled:
            return len(self.labelled[label])
        return made if label in (*alarm_sounds.LABELS, SPEECH) else 0

    def scene(
        self, label: str, snr_db: int, trial: int, rng: np.random.Generator, *, scene_s: float = SCENE_S
    ) -> Stretch:
        """A sound of that label, from its own beginning to its end, over sound that does not carry the label."""
        rate = self.sample_rate
        background, present = self.background(label, scene_s, rng)
        sound = self._sound(label, trial, rng)
        first, last = bounds(sound, rate)
        onset = round(rng.uniform(*ONSET_S) * rate)
        span = slice(onset, min(len(background), onset + last - first))
        placed = np.zeros(len(background), dtype=np.float32)
        lead = min(first, onset)  # what a recording holds before its sound stays before it
        sound = sound[first - lead :][: len(background) - onset + lead]
        placed[onset - lead : onset - lead + len(sound)] = sound
        through = bool(rng.random() < 0.5)
        if through:
            placed = travelled(placed, rate, rng)
        samples = _taken(at_snr(placed, background, span, snr_db, rate), rate, rng, through=through)
        target = Target(label, snr_db, span.start / rate, span.stop / rate)
        return Stretch("scenes with a labelled sound", samples, present | {label}, target)

    def background(
        self, without: str | None, duration_s: float, rng: np.random.Generator
    ) -> tuple[Samples, frozenset[str]]:
        """Sound of RMS 1 that does not carry a label, every group as likely as the next; and the labels it carries.

        A little noise lies under it, so that no stretch of it is silent.
        """
        groups = [*self.others, SYNTHESISED, *(name for name in self.labelled if name != without)]
        if without != SPEECH:
            groups += ["digits", "espeak-ng"]
        name = str(rng.choice(groups))
        n = round(duration_s * self.sample_rate)
        if name == SYNTHESISED:
            sound = make_other(duration_s, self.sample_rate, rng, str(rng.choice(BACKGROUNDS)))
        elif name == "digits":
            sound = self._counting(duration_s, rng)
        elif name == "espeak-ng":
            sound = _chain([espeak(" ".join(rng.permutation(SENTENCES)), self.sample_rate, rng)], n, rng)
        else:
            sound = _chain(self.labelled.get(name) or self.others[name], n, rng)
        bed = acoustics.coloured_noise(n, rng, slope=rng.uniform(0, 2)) * np.float32(10 ** (rng.uniform(-40, -20) / 20))
        present = {SPEECH} if name in ("digits", "espeak-ng") else {name} & set(self.labelled)
        return acoustics.at_level(acoustics.at_level(sound, 0.0) + bed, 0.0), frozenset(present)

    def negatives(self, made_s: float, rng: np.random.Generator) -> Iterator[Stretch]:
        """Sound whose labels are known; `made_s` seconds or a little more of each kind that has to be made up."""
        rate = self.sample_rate
        for label, recordings in (*self.labelled.items(), (SPEECH, self.digits)):
            yield Stretch("recordings of other labels, as they are", np.concatenate(recordings), frozenset({label}))
        together = np.concatenate([samples for group in self.others.values() for samples in group])
        yield Stretch("drone and hydrophone recordings, as they are", together, frozenset())
        for _ in range(max(1, round(made_s / NEGATIVE_S))):
            (first, in_first), (second, in_second) = (self.background(None, NEGATIVE_S, rng) for _ in range(2))
            both = first + second * np.float32(10 ** (rng.uniform(-10, 10) / 20))
            yield self._negative("two backgrounds at a time", both, in_first | in_second, rng)
            for kind, makers in (
                (LOOKALIKES, [name for name in KINDS if name in BEEPING]),
                ("other synthesised sound", [name for name in KINDS if name not in BEEPING]),
            ):
                parts = [make_other(NEGATIVE_S / 4, rate, rng, str(rng.choice(makers))) for _ in range(4)]
                sound = np.concatenate(parts)
                if rng.random() < 0.5:
                    yield self._negative(kind + ", alone", sound, frozenset(), rng)
                else:
                    behind, present = self.background(None, NEGATIVE_S, rng)
                    mixed = at_snr(sound, behind, slice(0, len(sound)), rng.uniform(0, 20), rate)
                    yield self._negative(kind + ", over recordings", mixed, present, rng)
        spoken_s = 0.0
        while spoken_s < made_s:
            speech = espeak(" ".join(rng.permutation(SENTENCES)), rate, rng)
            spoken_s += len(speech) / rate
            yield self._negative("espeak-ng speech", speech, frozenset({SPEECH}), rng)

    def _negative(self, kind: str, sound: Samples, present: frozenset[str], rng: np.random.Generator) -> Stretch:
        return Stretch(kind, _taken(sound, self.sample_rate, rng, through=bool(rng.random() < 0.5)), present)

    def _sound(self, label: str, trial: int, rng: np.random.Generator) -> Samples:
        if label in self.labelled:
            return self.labelled[label][trial]
        if label != SPEECH:
            return make_alarm(label, ALARM_S, self.sample_rate, rng).samples[: round(ALARM_S * self.sample_rate)]
        if trial % 2:
            return espeak(str(rng.choice(SENTENCES)), self.sample_rate, rng)
        return self._counting(rng.uniform(3.0, 7.0), rng)

    def _counting(self, duration_s: float, rng: np.random.Generator) -> Samples:
        """Digits with pauses between them."""
        pieces: list[Samples] = []
        while sum(map(len, pieces)) < duration_s * self.sample_rate:
            pause = np.zeros(round(rng.uniform(0.05, 0.4) * self.sample_rate), dtype=np.float32)
            pieces += [self.digits[int(rng.integers(len(self.digits)))], pause]
        return np.concatenate(pieces)[: round(duration_s * self.sample_rate)]


def read_sounds(data: Path, sample_rate: int) -> dict[int, Sounds]:
    """By fold, what a model that was trained without the fold may be tried on.

    Raises:
        EdgeaudioError: A collection is missing, its recordings carry no folds, or espeak-ng is not installed.
    """
    require_espeak()
    paths = sorted((data / "speech_digits").glob(f"*_{HELD_OUT_SPEAKER}_*.wav"))
    if not paths:
        raise EdgeaudioError(f"{data / 'speech_digits'}: no recordings of {HELD_OUT_SPEAKER} there; give --data")
    others = {}
    for name in UNLABELLED:
        recorded = read_folder(data / name, sample_rate)[HALF["held_out"]]
        others[name] = [r.samples for r in recorded if _is_heard(r, sample_rate)]
    recordings = [r for r in read_folder(data / "esc10", sample_rate) if _is_heard(r, sample_rate)]
    digits = [without_padding(read_audio(path, sample_rate)) for path in paths]
    folds = sorted({r.fold for r in recordings if r.fold is not None})
    if len(folds) < 2:
        raise EdgeaudioError(f"{data / 'esc10'}: two folds at least are needed (names such as 3-17367-A.ogg)")
    return {
        fold: Sounds(
            fold,
            sample_rate,
            {
                label: [r.samples for r in recordings if r.fold == fold and r.label == label]
                for label in sorted({r.label for r in recordings if r.fold == fold})
            },
            digits,
            others,
        )
        for fold in folds
    }


def bounds(sound: Samples, sample_rate: int) -> tuple[int, int]:
    """First sample of the first sounding piece, and the one after the last sounding piece."""
    size, levels = _levels(sound, sample_rate)
    pieces = np.flatnonzero(_sounding(levels))
    return int(pieces[0]) * size, (int(pieces[-1]) + 1) * size


def sounding_rms(sound: Samples, sample_rate: int) -> float:
    """RMS over the pieces of PIECE_S that are at most SOUNDING_DB under the loudest one."""
    _, levels = _levels(sound, sample_rate)
    return float(np.sqrt(np.mean(levels[_sounding(levels)] ** 2)))


def at_snr(sound: Samples, background: Samples, span: slice, snr_db: float, sample_rate: int) -> Samples:
    """Both together, the sound's sounding parts in the span `snr_db` over the background's RMS in the span."""
    heard = sounding_rms(sound[span], sample_rate)
    wanted = acoustics.rms(background[span]) * 10 ** (snr_db / 20)
    return background if heard == 0.0 else background + sound * np.float32(wanted / heard)


def _levels(sound: Samples, sample_rate: int) -> tuple[int, Samples]:
    """Samples in a piece, and the RMS of each piece, float32 (n_pieces,); what is left at the end is no piece."""
    size = round(PIECE_S * sample_rate)
    whole = sound[: len(sound) // size * size].reshape(-1, size)
    return size, np.sqrt(np.mean(whole**2, axis=1))


def _sounding(levels: Samples) -> NDArray[np.bool_]:
    return np.asarray(levels >= levels.max() * 10 ** (-SOUNDING_DB / 20))


def _is_heard(recording: Recording, sample_rate: int) -> bool:
    return len(recording.samples) >= round(PIECE_S * sample_rate) and acoustics.rms(recording.samples) > 0.0


def _chain(recordings: Sequence[Samples], n: int, rng: np.random.Generator) -> Samples:
    """Recordings end to end, all at one level, in any order; float32 (n,)."""
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < n:
        pieces += [acoustics.at_level(recordings[i], 0.0) for i in rng.permutation(len(recordings))]
    return np.concatenate(pieces)[:n]


def _taken(samples: Samples, sample_rate: int, rng: np.random.Generator, *, through: bool) -> Samples:
    """As a microphone and a codec give it, or plainly, at a level that cameras have."""
    if through:
        return received(samples, sample_rate, rng)
    return np.clip(acoustics.at_level(samples, rng.uniform(-40, -15)), -1.0, 1.0)
