"""Evaluate an alarm model on sound that it was not trained on: events found, delays, false alarms an hour.

    python -m models.alarms.train.evaluate_alarms models/alarms --data ../shared/data [--keras runs/alarms/model.keras]

Everything runs through the agent's own pipeline (resampling, clips, features, int8 model, detector) with the
thresholds that the model ships with. Prints Markdown tables; `--card` writes them into the model card.

Owns: the trials and their counting. Does not know: how the sounds are made (`alarm_scenes.py`).
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.pipeline import Scorer
from models.alarms.train.alarm_scenes import SAMPLE_RATE, Course, MakeAlarm, long_scene
from tools.synth import acoustics
from tools.synth.alarm_sounds import LABELS, make_alarm
from tools.synth.espeak import PROGRAM
from tools.synth.european_alarms import make_beeper, make_two_tone_siren
from tools.synth.held_out_speech import SENTENCES, espeak
from tools.synth.house_beeps import HOUSE_BEEPS
from tools.synth.other_sounds import BEEPING, KINDS, make_other
from tools.synth.scenes import mixed, received, travelled
from tools.training.corpus import Corpus, read_corpus
from tools.training.event_trials import onsets
from tools.training.model_card import replace_section

Samples = NDArray[np.float32]
MakeOther = Callable[[float, int, np.random.Generator], Samples]

SNRS_DB = (20, 10, 5, 0)
COURSE = Course(begin_s=5.0, end_s=25.0, duration_s=30.0)
# what is tried: its name in the table, its label, and how it is made
TRIED: tuple[tuple[str, str, MakeAlarm], ...] = (
    *((label, label, partial(make_alarm, label)) for label in LABELS),
    ("smoke_alarm, steady (EN 14604)", "smoke_alarm", partial(make_beeper, steady=True)),
    ("smoke_alarm, fast beeps (EN 14604)", "smoke_alarm", partial(make_beeper, steady=False)),
    ("siren, two tones (France, Germany, Italy)", "siren", make_two_tone_siren),
)
GRACE_S = 2.0  # an alarm may be named a little after it ended


@dataclass(slots=True)
class Recall:
    """Results of the trials of one label at one SNR."""

    delays_s: list[float] = field(default_factory=list)  # of the alarms found
    others: int = 0  # onsets of other labels meanwhile


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="evaluate_alarms", description="Measures an alarm model on unheard sound.")
    parser.add_argument("model", type=Path, help="model directory")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings (esc10, speech_digits, ...)")
    parser.add_argument("--keras", type=Path, help="the model before conversion, to compare with")
    parser.add_argument("--trials", type=int, default=100, help="alarms per label and SNR (default: 100)")
    parser.add_argument(
        "--hours", type=float, default=0.5, help="hours per made-up part of the negatives (default: 0.5)"
    )
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--card", type=Path, help="model card whose section on evaluation is replaced")
    options = parser.parse_args(arguments)
    try:
        report = evaluate(options)
        if options.card:
            replace_section(options.card, "Evaluation", report)
    except EdgeaudioError as error:
        print(f"evaluate_alarms: {error}", file=sys.stderr)
        return 2
    print("\n".join(report))
    return 0


def evaluate(options: argparse.Namespace) -> list[str]:
    """Return the report as lines of Markdown."""
    scorers: dict[str, Scorer] = {"int8": load_model(options.model)}
    if options.keras:
        from tools.training.conversion import Original, load  # noqa: PLC0415 - TensorFlow is not needed otherwise

        manifest = scorers["int8"].manifest
        scorers["float32"] = Original(load(options.keras), manifest).model
    corpus = read_corpus(options.data, SAMPLE_RATE, "held_out")
    explanation = (
        f"Alarms of {COURSE.end_s - COURSE.begin_s:g} s over held-out recordings, {options.trials} for each line, seed "
        f"{options.seed}; the SNR is that of the sounding parts. The delay is from the first pulse to the onset's "
        "being known."
    )
    lines = [explanation, "", *_recall_table(scorers, corpus, options.trials, options.seed)]
    lines += ["", f"Onsets on sound without an alarm (int8, seed {options.seed}):", ""]
    lines += _negative_table(scorers["int8"], corpus, options.hours, options.seed)
    return lines


def _recall_table(scorers: Mapping[str, Scorer], corpus: Corpus, trials: int, seed: int) -> list[str]:
    lines = [
        "| alarm | SNR | numbers | found | delay, median | delay, 95 % | other labels' onsets |",
        "|---|---|---|---|---|---|---|",
    ]
    for index, (kind, label, make) in enumerate(TRIED):
        for snr_db in SNRS_DB:
            results = {name: Recall() for name in scorers}
            for trial in tqdm(range(trials), desc=f"{kind} {snr_db} dB", unit="trial", leave=False):
                rng = np.random.default_rng((seed, index, snr_db, trial))
                samples = long_scene(make, snr_db, COURSE, corpus, SAMPLE_RATE, rng)
                for name, scorer in scorers.items():
                    _try(scorer, samples, label, results[name])
            for name, result in results.items():
                delays = [f"{np.quantile(result.delays_s, q):.1f} s" if result.delays_s else "-" for q in (0.5, 0.95)]
                found = f"{len(result.delays_s) / trials:.0%}"
                lines.append(f"| {kind} | {snr_db} dB | {name} | {found} | {' | '.join(delays)} | {result.others} |")
    return lines


def _try(scorer: Scorer, samples: Samples, label: str, result: Recall) -> None:
    found_s = None
    for heard in onsets(scorer, samples, SAMPLE_RATE):
        if heard.event.label != label:
            result.others += 1
        elif found_s is None and COURSE.begin_s < heard.known_s <= COURSE.end_s + GRACE_S:
            found_s = heard.known_s - COURSE.begin_s
    if found_s is not None:
        result.delays_s.append(found_s)


def _negative_table(scorer: Scorer, corpus: Corpus, hours: float, seed: int) -> list[str]:
    rng = np.random.default_rng((seed, 99))
    stretch_s = 60.0
    count = max(1, round(hours * 3600 / stretch_s))

    def mixtures() -> Iterator[Samples]:
        for _ in range(count):
            first, second = (acoustics.at_level(corpus.pick(stretch_s, SAMPLE_RATE, rng), 0.0) for _ in range(2))
            both = first + travelled(second, SAMPLE_RATE, rng) * np.float32(10 ** (rng.uniform(-15, 15) / 20))
            yield received(both, SAMPLE_RATE, rng)

    def made(makers: Sequence[MakeOther]) -> Callable[[], Iterator[Samples]]:
        def generate() -> Iterator[Samples]:
            for _ in range(count):
                parts = [makers[int(rng.integers(len(makers)))](15.0, SAMPLE_RATE, rng) for _ in range(4)]
                sound = travelled(np.concatenate(parts), SAMPLE_RATE, rng)
                background = acoustics.at_level(corpus.pick(stretch_s, SAMPLE_RATE, rng), 0.0)
                yield received(mixed(sound, background, acoustics.rms(sound), rng.uniform(0, 30)), SAMPLE_RATE, rng)

        return generate

    parts: dict[str, Callable[[], Iterator[Samples]]] = {
        "held-out recordings as they are": lambda: _as_they_are(corpus),
        "held-out recordings, two at a time, through rooms and codecs": mixtures,
        "espeak-ng speech": lambda: _speech(hours, rng),
        "synthesised beeps and rings over held-out recordings": made(_others(BEEPING)),
        "reversing lorries, fridges, ovens, timers and door bells over held-out recordings": made(
            list(HOUSE_BEEPS.values())
        ),
        "other synthesised sound over held-out recordings": made(_others(set(KINDS) - set(BEEPING))),
    }
    lines = ["| sound | hours | onsets | an hour |", "|---|---|---|---|"]
    for name, generate in parts.items():
        heard_s, found = 0.0, Counter[str]()
        for samples in tqdm(generate(), desc=name, unit="min", leave=False):
            heard_s += len(samples) / SAMPLE_RATE
            found.update(heard.event.label for heard in onsets(scorer, samples, SAMPLE_RATE))
        listed = ", ".join(f"{number} {label}" for label, number in found.most_common()) or "none"
        rate = f"{found.total() / heard_s * 3600:.2f}" if heard_s else "-"
        lines.append(f"| {name} | {heard_s / 3600:.2f} | {listed} | {rate} |")
    return lines


def _others(kinds: Iterable[str]) -> list[MakeOther]:
    return [partial(make_other, kind=kind) for kind in sorted(kinds)]


def _as_they_are(corpus: Corpus) -> Iterator[Samples]:
    """Yield each collection end to end, a minute at a time."""
    for group in corpus.groups:
        whole = np.concatenate([recording.samples for recording in group])
        for first in range(0, len(whole), 60 * SAMPLE_RATE):
            yield whole[first : first + 60 * SAMPLE_RATE]


def _speech(hours: float, rng: np.random.Generator) -> Iterator[Samples]:
    """Yield sentences in every voice at different speeds and pitches; none without espeak-ng."""
    if shutil.which(PROGRAM) is None:
        print("espeak-ng is not installed: its part of the evaluation is left out", file=sys.stderr)
        return
    left_s = hours * 3600
    while left_s > 0:
        samples = espeak(" ".join(rng.permutation(SENTENCES)), SAMPLE_RATE, rng)
        left_s -= len(samples) / SAMPLE_RATE
        yield received(travelled(samples, SAMPLE_RATE, rng), SAMPLE_RATE, rng)


if __name__ == "__main__":
    raise SystemExit(main())
