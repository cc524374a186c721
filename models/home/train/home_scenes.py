"""Sound for evaluating the household model: labelled sounds at known times over other sound, and other sound alone.

Owns: which sound a fold's model may be evaluated with (it was trained on none of it), and the labels of that sound:
those of its folder or its maker.
Does not know: how a scene is put together (`event_scenes.py`), models, scores, thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from tools.synth import acoustics, alarm_sounds
from tools.synth.alarm_sounds import make_alarm
from tools.synth.espeak import SPEECH, require_espeak
from tools.synth.event_scenes import ONSET_S, SCENE_S, SCENES, at_snr, chain, is_sounding, place, recorded
from tools.synth.held_out_speech import SENTENCES, espeak
from tools.synth.other_sounds import BACKGROUND_KINDS, BEEPING, KINDS, make_other
from tools.synth.scenes import travelled
from tools.training.corpus import HALF, HELD_OUT_SPEAKER, UNLABELLED
from tools.training.event_trials import Stretch, Target
from tools.training.recordings import read_audio, read_folder, without_padding

Samples = NDArray[np.float32]

ALARM_S = 10.0
NEGATIVE_S = 60.0  # one stretch of made-up negatives
SYNTHESISED = "synthesised"
LOOKALIKES = "synthesised beeps and rings"
# A made-up voice is no speech, and no proof of its absence either: it is among the negatives, not behind a label.
BACKGROUNDS = tuple(kind for kind in BACKGROUND_KINDS if kind != "voice")


@dataclass(frozen=True, slots=True, eq=False)
class Sounds:
    """Sound for evaluating the model that was trained without `fold`."""

    fold: int
    sample_rate: int  # Hz
    labelled: Mapping[str, Sequence[Samples]]  # the fold's recordings, by label
    digits: Sequence[Samples]  # spoken by one who is not in the training
    others: Mapping[str, Sequence[Samples]]  # recordings that carry no label, by collection

    def trials(self, label: str, made: int) -> int:
        """Return the number of scenes of a label at one SNR: its recordings, `made` if it is synthesised, or 0."""
        if label in self.labelled:
            return len(self.labelled[label])
        return made if label in (*alarm_sounds.LABELS, SPEECH) else 0

    def scene(
        self, label: str, snr_db: int, trial: int, rng: np.random.Generator, *, scene_s: float = SCENE_S
    ) -> Stretch:
        """Return a sound of that label, from its own beginning to its end, over sound that does not carry the label."""
        rate = self.sample_rate
        background, present = self.background(label, scene_s, rng)
        sound = self._sound(label, trial, rng)
        placed, span = place(sound, round(rng.uniform(*ONSET_S) * rate), len(background), rate)
        through = bool(rng.random() < 0.5)
        if through:
            placed = travelled(placed, rate, rng)
        samples = recorded(at_snr(placed, background, span, snr_db, rate), rate, rng, through=through)
        target = Target(label, snr_db, span.start / rate, span.stop / rate)
        return Stretch(SCENES, samples, present | {label}, target)

    def background(
        self, without: str | None, duration_s: float, rng: np.random.Generator
    ) -> tuple[Samples, frozenset[str]]:
        """Return sound of RMS 1 that does not carry a label, each group as likely, and the labels that it carries.

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
            sound = chain([espeak(" ".join(rng.permutation(SENTENCES)), self.sample_rate, rng)], n, rng)
        else:
            sound = chain(self.labelled.get(name) or self.others[name], n, rng)
        bed = acoustics.coloured_noise(n, rng, slope=rng.uniform(0, 2)) * np.float32(10 ** (rng.uniform(-40, -20) / 20))
        present = {SPEECH} if name in ("digits", "espeak-ng") else {name} & set(self.labelled)
        return acoustics.at_level(acoustics.at_level(sound, 0.0) + bed, 0.0), frozenset(present)

    def negatives(self, made_s: float, rng: np.random.Generator) -> Iterator[Stretch]:
        """Yield sound with known labels; at least `made_s` seconds of each kind that is synthesised."""
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
        through = bool(rng.random() < 0.5)
        samples = recorded(sound, self.sample_rate, rng, through=through)
        # an hour of nothing but beeps is no house's: those are reported, and do not decide on thresholds
        return Stretch(kind, samples, present, budgeted=not kind.startswith(LOOKALIKES))

    def _sound(self, label: str, trial: int, rng: np.random.Generator) -> Samples:
        if label in self.labelled:
            return self.labelled[label][trial]
        if label != SPEECH:
            return make_alarm(label, ALARM_S, self.sample_rate, rng).samples[: round(ALARM_S * self.sample_rate)]
        if trial % 2:
            return espeak(str(rng.choice(SENTENCES)), self.sample_rate, rng)
        return self._counting(rng.uniform(3.0, 7.0), rng)

    def _counting(self, duration_s: float, rng: np.random.Generator) -> Samples:
        """Return digits with pauses between them."""
        pieces: list[Samples] = []
        while sum(map(len, pieces)) < duration_s * self.sample_rate:
            pause = np.zeros(round(rng.uniform(0.05, 0.4) * self.sample_rate), dtype=np.float32)
            pieces += [self.digits[int(rng.integers(len(self.digits)))], pause]
        return np.concatenate(pieces)[: round(duration_s * self.sample_rate)]


def read_sounds(data: Path, sample_rate: int) -> dict[int, Sounds]:
    """Return, by fold, the sound for evaluating the model that was trained without it.

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
        others[name] = [r.samples for r in recorded if is_sounding(r.samples, sample_rate)]
    recordings = [r for r in read_folder(data / "esc10", sample_rate) if is_sounding(r.samples, sample_rate)]
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
