"""Scenes over kinds of background: which labelled recording is heard over which kind, and each kind alone.

Owns: the folder of backgrounds (a sub-folder is a kind), and who meets whom.
Does not know: how a sound is put into another (`event_scenes.py`), models, scores, thresholds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeaudio.errors import EdgeaudioError
from tools.synth import acoustics
from tools.synth.event_scenes import ONSET_S, SCENES, at_snr, chain, is_sounding, place, recorded
from tools.synth.scenes import travelled
from tools.training.dataset import Entry
from tools.training.event_trials import Stretch, Target
from tools.training.kind_trials import Placed
from tools.training.recordings import audio_files, read_audio, without_padding
from tools.training.score_cache import sound_key

Samples = NDArray[np.float32]

SAMPLE_RATE = 32_000  # of every stretch, whatever the model's rate: the agent resamples, and so does its pipeline
PRESENT = "labels.txt"  # of a kind's folder: labels that sound in it, one a line
ALONE_S = 60.0  # one stretch of a kind alone
BED_DB = (-40.0, -20.0)  # noise under each background: no stretch of it is digital silence


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of background: its recordings, and the labels that sound in them."""

    name: str
    paths: tuple[Path, ...]
    present: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class KindScenes:
    """Everything that a model is judged with: scenes over each kind, and each kind alone; a seed repeats it.

    entries: Labelled recordings. snrs_db: Of the scenes of each. scene_s: Length of a scene.
    folds: Of the kinds, by name, where models were trained on other sound of the same kinds: all over a kind is heard
        by the model of its fold, which heard none of the kind. Empty: none was trained on any.
    """

    kinds: tuple[Kind, ...]
    entries: tuple[Entry, ...]
    snrs_db: tuple[int, ...]
    scene_s: float
    seed: int
    folds: Mapping[str, int] = field(default_factory=dict)

    sample_rate: ClassVar[int] = SAMPLE_RATE

    @property
    def key(self) -> str:
        """A key of the sound: files by name, size and time of change, and what is made of them."""
        paths = [entry.path for entry in self.entries] + [path for kind in self.kinds for path in kind.paths]
        named = [(entry.label, entry.fold) for entry in self.entries]
        present = [(kind.name, sorted(kind.present), self.folds.get(kind.name)) for kind in self.kinds]
        return sound_key(paths, named, present, self.snrs_db, self.scene_s, self.seed)

    @property
    def numbers(self) -> range:
        """Of the kinds."""
        return range(1, len(self.kinds) + 1)

    def placed(self, number: int) -> Iterator[Placed]:
        """Yield every stretch of one kind.

        Raises:
            EdgeaudioError: A recording cannot be decoded, or the kind is silent.
        """
        kind = self.kinds[number - 1]
        recordings = _recordings(kind)
        for index, entry in meetings(self.entries, self.kinds, self.seed, self.folds)[kind.name]:
            for scene in self._scenes(kind, recordings, index, entry):
                yield Placed(scene, entry.fold)
        rng = np.random.default_rng((self.seed, number))
        for piece in _pieces(recordings):
            plain = recorded(piece, SAMPLE_RATE, rng, through=False)
            yield Placed(Stretch(kind.name, plain, kind.present, background=kind.name), self.folds.get(kind.name))

    def _scenes(self, kind: Kind, recordings: Sequence[Samples], index: int, entry: Entry) -> Iterator[Stretch]:
        sound = without_padding(read_audio(entry.path, SAMPLE_RATE))
        if is_sounding(sound, SAMPLE_RATE):
            for snr_db in self.snrs_db:
                rng = np.random.default_rng((self.seed, index, snr_db))
                yield _scene(kind, recordings, entry.label or "", sound, snr_db, self.scene_s, rng)


def read_kinds(folder: Path) -> list[Kind]:
    """Return the kinds of background in a folder, in the order of their names.

    Raises:
        EdgeaudioError: There are fewer than two, or one holds no recording.
    """
    folders = sorted(path for path in folder.glob("*") if path.is_dir())
    if len(folders) < 2:
        raise EdgeaudioError(f"{folder}: needs two sub-folders at least, one for each kind of background")
    return [
        Kind(path.name, tuple(audio_files(path, "remove the folder, or fill it")), _present(path)) for path in folders
    ]


def dealt(names: Sequence[str], folds: Sequence[int]) -> dict[str, int]:
    """Return the fold of each kind: they go round the folds, in the order of their names."""
    return {name: folds[index % len(folds)] for index, name in enumerate(sorted(names))}


def meetings(
    entries: Sequence[Entry], kinds: Sequence[Kind], seed: int, folds: Mapping[str, int]
) -> dict[str, list[tuple[int, Entry]]]:
    """Return, by kind, the labelled recordings that are heard over it, each with its number.

    A recording meets one kind alone, at all SNRs: what is judged over a kind was not calibrated with over others. The
    recordings of a label go round all kinds that do not hold the label, those of a fold round the kinds of that fold.
    """
    met: dict[str, list[tuple[int, Entry]]] = {kind.name: [] for kind in kinds}
    labels = sorted({entry.label for entry in entries if entry.label})
    for turn, label in enumerate(labels):
        of_label = [(number, entry) for number, entry in enumerate(entries) if entry.label == label]
        order = np.random.default_rng((seed, turn)).permutation(len(of_label))
        steps: Counter[int] = Counter()
        for number, entry in (of_label[index] for index in order):
            free = [
                kind.name
                for kind in kinds
                if label not in kind.present and folds.get(kind.name, entry.fold) == entry.fold
            ]
            group = entry.fold if folds else 0
            if free:
                met[free[(steps[group] + 5 * turn) % len(free)]].append((number, entry))
                steps[group] += 1
    return met


def _recordings(kind: Kind) -> list[Samples]:
    heard = [without_padding(read_audio(path, SAMPLE_RATE)) for path in kind.paths]
    recordings = [samples for samples in heard if is_sounding(samples, SAMPLE_RATE)]
    if not recordings:
        raise EdgeaudioError(f"{kind.paths[0].parent}: is silent; remove the folder, or fill it")
    return recordings


def _scene(
    kind: Kind,
    recordings: Sequence[Samples],
    label: str,
    sound: Samples,
    snr_db: int,
    scene_s: float,
    rng: np.random.Generator,
) -> Stretch:
    """Return a sound over a kind; one scene in two goes through a room, a microphone and a codec."""
    n = round(scene_s * SAMPLE_RATE)
    behind = acoustics.at_level(_excerpt(recordings, n, rng), 0.0)
    behind += acoustics.coloured_noise(n, rng, slope=rng.uniform(0, 2)) * np.float32(10 ** (rng.uniform(*BED_DB) / 20))
    placed, span = place(sound, round(rng.uniform(*ONSET_S) * SAMPLE_RATE), n, SAMPLE_RATE)
    through = bool(rng.random() < 0.5)
    if through:
        placed = travelled(placed, SAMPLE_RATE, rng)
    samples = recorded(at_snr(placed, behind, span, snr_db, SAMPLE_RATE), SAMPLE_RATE, rng, through=through)
    target = Target(label, snr_db, span.start / SAMPLE_RATE, span.stop / SAMPLE_RATE)
    return Stretch(SCENES, samples, kind.present | {label}, target, background=kind.name)


def _excerpt(recordings: Sequence[Samples], n: int, rng: np.random.Generator) -> Samples:
    """Return a part of one recording, or, if they are short, several end to end; float32 (n,)."""
    recording = recordings[int(rng.integers(len(recordings)))]
    if len(recording) < n:
        return chain(recordings, n, rng)
    start = int(rng.integers(len(recording) - n + 1))
    return recording[start : start + n].copy()


def _pieces(recordings: Sequence[Samples]) -> Iterator[Samples]:
    """Yield all recordings end to end, each at its own level, in pieces of ALONE_S; the last is what is left."""
    together = np.concatenate([acoustics.at_level(samples, 0.0) for samples in recordings])
    step = round(ALONE_S * SAMPLE_RATE)
    for start in range(0, len(together), step):
        piece = together[start : start + step]
        if is_sounding(piece, SAMPLE_RATE):
            yield piece


def _present(folder: Path) -> frozenset[str]:
    file = folder / PRESENT
    if not file.is_file():
        return frozenset()
    return frozenset(line.strip() for line in file.read_text().splitlines() if line.strip())
