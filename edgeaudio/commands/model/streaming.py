"""A first manifest for a model that remembers what it heard: its steps, and what microWakeWord's JSON says.

Owns: microWakeWord's conventions, the JSON beside its models, and the guesses of steps.
Does not know: how other features are guessed (frames.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgeaudio.commands.model.frames import PRESETS, frames_and_features
from edgeaudio.commands.model.init_options import Work
from edgeaudio.commands.model.shape import OPEN, waveform_axes
from edgeaudio.errors import EdgeaudioError
from edgeaudio.files import read_regular
from edgeaudio.recognise.feature_config import MICRO_N_FFT
from edgeaudio.recognise.flatbuffer import FlatbufferError
from edgeaudio.recognise.interpreter import ModelError
from edgeaudio.recognise.manifest import MAX_CLIPS, DetectorSection, Threshold
from edgeaudio.recognise.recurrent_state import State, state_of
from edgeaudio.recognise.tflite_file import Tensor

PRESET = "microwakeword"
MAX_JSON_BYTES = 100_000
SAMPLE_RATE, WINDOW_MS, N_MELS = 16_000, 30, 40
STEP_MS, STEP_MS_OF_VERSION_1 = 10, 20
INPUT_SCALE = 0.0390625  # 10 / 256: how the models were trained on the front end's whole numbers
CLIP_S = 1.5  # what a score is about: a word and a little more
CUTOFF, WINDOW = 0.9, 5  # of most models
REFRACTORY_S = 1.0  # as ESPHome waits after a word


def take_state(work: Work, content: bytes, tensor: Tensor) -> bool:
    """Return True if the model remembers; fills in what microWakeWord's have in common. Raises EdgeaudioError."""
    section = work.section("input")
    try:
        writes = state_of(content) is State.RESOURCES
    except FlatbufferError as error:
        raise ModelError(work.file, f"is damaged: {error}") from None
    if writes:
        work.guess("input", "stateful", value=True, why="it writes to variables that it reads in the next run")
    stateful = section.get("stateful") is True
    if work.options.preset == PRESET and not stateful:
        raise EdgeaudioError(f"--preset {PRESET}: {work.file} keeps nothing from one run to the next")
    described = _json_beside(work.file) if stateful else None
    usual = tensor.shape[-1:] == (N_MELS,) and not work.options.kind
    if stateful and (work.options.preset == PRESET or described or (usual and not work.options.preset)):
        _take_wake_word(work, described or {}, named=bool(described or work.options.preset))
    return stateful


def take_steps(work: Work, tensor: Tensor, kind: str) -> None:
    """Fill in step, axes and the length of the clip. Raises EdgeaudioError if an option is needed."""
    section, clip = work.section("input"), work.section("clip")
    if kind == "waveform":
        step, axes = waveform_axes(tensor)
        section.setdefault("axes", axes)
    else:
        stated = work.section("features")
        count = {"mfcc": "n_mfcc", "spectrogram": "n_bins"}.get(kind, "n_mels")
        step, n_features = frames_and_features(work, tensor, stated.get(count))
        stated.setdefault(count, n_features)
    if step == OPEN and "step" not in section:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(tensor.shape)}, of any length: say how many frames (or samples) it is "
            "given at a time with --set input.step=N"
        )
    section.setdefault("step", step)
    seconds = work.options.clip_s
    if seconds:
        clip.setdefault("n_samples", round(seconds * clip["sample_rate"]))
    else:
        n_samples = round(CLIP_S * clip["sample_rate"])
        work.guess("clip", "n_samples", n_samples, f"a score is about the last {CLIP_S:g} s; else say --clip-s")


def _take_wake_word(work: Work, described: dict[str, Any], *, named: bool) -> None:
    """Fill in microWakeWord's features, and its detection rule: a mean of the latest scores over a cutoff."""
    if not named:
        work.guesses.append(
            f"features: as microWakeWord computes them, for it remembers and takes frames of {N_MELS}; else say --kind"
        )
    rate = work.options.sample_rate or work.section("clip").setdefault("sample_rate", SAMPLE_RATE)
    section, stated = work.section("input"), work.section("features")
    section.setdefault("kind", "micro_frontend")
    section.setdefault("scale", INPUT_SCALE)
    step_ms = described.get("step_ms", STEP_MS)
    sizes = {"n_fft": MICRO_N_FFT, "win_length": rate * WINDOW_MS // 1000, "hop_length": rate * step_ms // 1000}
    work.table["features"] = {**PRESETS[PRESET], **sizes, "n_mels": N_MELS, **stated}
    if work.options.labels is None and "labels" not in work.table:
        label = described.get("wake_word") or " ".join(work.file.stem.replace("_", " ").split()) or "wake word"
        work.table["labels"] = [label]
        if not described:
            work.guesses.append(f"labels = {label!r}, of the file's name; else say --labels FILE")
    if text := described.get("description"):
        work.table.setdefault("description", text)
    usual = "no JSON of microWakeWord's is beside the file; its page has the number"
    on, mean_of = described.get("cutoff", CUTOFF), described.get("window", WINDOW)
    if described:
        work.guesses.append(f"labels, detector: of {work.file.with_suffix('.json').name}")
        work.section("detector").setdefault("on", on)
        work.section("detector").setdefault("mean_of", mean_of)
    else:
        on = work.guess("detector", "on", on, usual)
        work.guess("detector", "mean_of", mean_of, usual)
    if isinstance(on, float):
        own = DetectorSection()
        work.section("detector").setdefault("off", round(Threshold(own.on, own.off).moved(on).off, 6))
    work.section("detector").setdefault("refractory_s", REFRACTORY_S)


def _json_beside(file: Path) -> dict[str, Any] | None:
    """Return what microWakeWord's JSON beside the model says, by our names; None without one. Raises EdgeaudioError."""
    path = file.with_suffix(".json")
    try:
        data = read_regular(path, MAX_JSON_BYTES)
    except OSError:
        return None
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(table, dict) or table.get("type") != "micro":
        return None  # something else of that name
    micro, word = table.get("micro"), table.get("wake_word")
    if not isinstance(micro, dict) or not isinstance(word, str) or not word.strip() or not word.isprintable():
        raise EdgeaudioError(f'{path}: is no JSON of microWakeWord: "wake_word" is text, and "micro" a table')
    is_first = table.get("version") == 1
    found = {
        "cutoff": _number(path, micro, "probability_cutoff", 0.001, 1.0),
        "window": _number(path, micro, "sliding_window_size", 1, MAX_CLIPS, whole=True),
        "step_ms": STEP_MS_OF_VERSION_1 if is_first else STEP_MS,
        "wake_word": " ".join(word.split()),
    }
    if "feature_step_size" in micro:
        found["step_ms"] = _number(path, micro, "feature_step_size", 1, WINDOW_MS, whole=True)
    author = table.get("author")
    if isinstance(author, str) and author.isprintable() and 0 < len(author) <= 200:
        found["description"] = f"Wake word of {author}"
    return found


def _number(path: Path, table: dict[str, Any], key: str, low: float, high: float, *, whole: bool = False) -> Any:  # noqa: ANN401 (int or float)
    value: Any = table.get(key)
    if type(value) not in ((int,) if whole else (int, float)) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise EdgeaudioError(f"{path}: micro.{key}: {value!r} is not {what} from {low:g} to {high:g}")
    return value if whole else float(value)
