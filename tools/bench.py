"""Measures edgeaudio against its peers in the same run: `python -m tools.bench [features|resample|model|memory ...]`.

Owns: what is measured, and the table: each figure is the median of several rounds, peers in turn with
ours, so that a machine whose speed drifts favours none. Peers that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from edgeaudio.console import columns
from edgeaudio.recognise.bundled_models import bundled_models
from edgeaudio.recognise.clips import ClipConfig, ClipCutter
from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.features import features
from edgeaudio.recognise.interpreter import RUNTIME, open_interpreter
from edgeaudio.recognise.model import load_model
from edgeaudio.recognise.resample import Resampler
from edgeaudio.types import Samples

ROUNDS = 15
RATE = 16_000
CONFIG = FeatureConfig("mfcc", RATE, n_fft=512, hop_length=160, n_mels=40, win_length=400, n_mfcc=13)
LONG_S = 30.0
Work = Callable[[], object]


def timed(works: dict[str, Work], units: float) -> list[list[str]]:
    """Return rows of name, microseconds a unit (median), and the ratio to the first."""
    for work in works.values():
        work()
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            begin = time.perf_counter()
            work()
            found[name].append(time.perf_counter() - begin)
    ours = statistics.median(next(iter(found.values())))
    rows = []
    for name, durations in found.items():
        median = statistics.median(durations)
        spread = f"{1e6 * min(durations) / units:.2f} to {1e6 * max(durations) / units:.2f}"
        rows.append([name, f"{1e6 * median / units:.2f}", spread, f"{median / ours:.2f}"])
    return rows


def table(title: str, unit: str, rows: list[list[str]]) -> None:
    """Print one table."""
    print(f"\n{title}")
    print("\n".join(columns([["", unit, "range", "ratio"], *rows], ["<", ">", ">", ">"])))


def bench_features() -> None:
    """Measure MFCC, 40 mels and 13 coefficients: a long recording, and 1 s windows every 250 ms."""
    rng = np.random.default_rng(0)
    signal = (0.1 * rng.standard_normal(round(LONG_S * RATE))).astype(np.float32)
    n_frames = CONFIG.n_frames(len(signal))
    whole: dict[str, Work] = {"edgeaudio": lambda: features(signal, CONFIG)}
    windows: dict[str, Work] = {"edgeaudio, stream of clips": lambda: _clips(signal)}
    if _installed("librosa"):
        import librosa

        def by_librosa(samples: Samples) -> object:
            return librosa.feature.mfcc(
                y=samples, sr=RATE, n_mfcc=13, n_fft=512, win_length=400, hop_length=160, n_mels=40, center=False
            )

        whole["librosa"] = lambda: by_librosa(signal)
        windows["librosa, each clip"] = lambda: [by_librosa(clip) for clip in _cut(signal)]
    if _installed("python_speech_features"):
        import python_speech_features as psf

        whole["python_speech_features"] = lambda: psf.mfcc(signal, RATE, winlen=0.025, winstep=0.01, nfilt=40, nfft=512)
    if _installed("kaldi_native_fbank"):
        import kaldi_native_fbank as knf

        options = knf.MfccOptions()
        options.frame_opts.dither = 0.0
        options.mel_opts.num_bins = 40

        def by_kaldi() -> None:
            computer = knf.OnlineMfcc(options)
            computer.accept_waveform(RATE, signal.tolist())
            computer.input_finished()

        whole["kaldi-native-fbank"] = by_kaldi
    table(f"MFCC of {LONG_S:g} s at once", "us/frame", timed(whole, n_frames))
    table("MFCC of 1 s clips every 250 ms", "us/new frame", timed(windows, n_frames))


def _clips(signal: Samples) -> None:
    cutter = ClipCutter(ClipConfig(RATE, RATE, 0.25, CONFIG), gate_dbfs=-200)
    for start in range(0, len(signal), 1024):
        for _ in cutter.feed(signal[start : start + 1024]):
            pass


def _cut(signal: Samples) -> list[Samples]:
    return [signal[start : start + RATE] for start in range(0, len(signal) - RATE + 1, RATE // 4)]


def bench_resample() -> None:
    """Measure one second of 44.1 and 48 kHz to 16 kHz, in blocks of 1024."""
    import av

    for rate in (44_100, 48_000):
        signal = (0.1 * np.random.default_rng(0).standard_normal(10 * rate)).astype(np.float32)

        def ours(rate: int = rate, signal: Samples = signal) -> None:
            resampler = Resampler(rate, RATE)
            for start in range(0, len(signal), 1024):
                resampler.feed(signal[start : start + 1024])

        def by_ffmpeg(rate: int = rate, signal: Samples = signal) -> None:
            resampler = av.AudioResampler("flt", "mono", RATE)
            for start in range(0, len(signal), 1024):
                frame = av.AudioFrame.from_ndarray(signal[None, start : start + 1024], "flt", "mono")
                frame.sample_rate = rate
                for out in resampler.resample(frame):
                    out.to_ndarray()

        table(f"{rate} Hz to {RATE} Hz", "us/s", timed({"edgeaudio": ours, "FFmpeg through PyAV": by_ffmpeg}, 10))


def bench_model() -> None:
    """Measure each bundled model against a depthwise CNN of 120,000 parameters on a clip of the same shape."""
    for name, directory in bundled_models().items():
        model = load_model(directory)
        section = model.manifest.clip
        shape: tuple[int, ...] = (section.n_samples,)
        if model.manifest.features:
            shape = (model.manifest.features.n_frames(section.n_samples), model.manifest.features.n_features)
        values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        works: dict[str, Work] = {name: lambda model=model, values=values: model.scores(values)}  # type: ignore[misc]
        rival = Path(__file__).parent / "bench_models" / f"ds_cnn_{'x'.join(map(str, shape))}.tflite"
        if rival.exists():
            works["depthwise CNN, 120,000 parameters"] = _runner(rival)
        table(f"{name}, a clip of {section.n_samples / section.sample_rate:g} s, {RUNTIME}", "us", timed(works, 1))


def _runner(path: Path) -> Work:
    interpreter = open_interpreter(path, path.read_bytes())
    interpreter.allocate_tensors()
    tensor = interpreter.get_input_details()[0]
    values = np.zeros(tensor["shape"], tensor["dtype"])

    def run() -> None:
        interpreter.set_tensor(tensor["index"], values)
        interpreter.invoke()

    return run


def bench_memory() -> None:
    """Measure resident memory after importing the agent, and after the heavy frameworks that it does without."""
    programs = {"edgeaudio": "import edgeaudio.agent", "NumPy alone": "import numpy"}
    if _installed("tensorflow"):
        programs["TensorFlow"] = "import tensorflow"
    if _installed("librosa"):
        programs["librosa"] = "import librosa; librosa.feature.mfcc"
    rows = []
    for name, program in programs.items():
        read = "import re; print(re.search(r'VmRSS:\\s+(\\d+)', open('/proc/self/status').read())[1])"
        found = [
            int(
                subprocess.run(  # noqa: S603 (our own words)
                    [sys.executable, "-c", f"{program}\n{read}"], capture_output=True, check=True, text=True
                ).stdout.split()[-1]
            )
            / 1000
            for _ in range(3)
        ]
        rows.append([name, f"{statistics.median(found):.0f}", f"{min(found):.0f} to {max(found):.0f}"])
    ours = float(rows[0][1])
    table("memory after the import", "MB", [[*row, f"{float(row[1]) / ours:.2f}"] for row in rows])


def _installed(module: str) -> bool:
    if importlib.util.find_spec(module):
        return True
    print(f"(without {module}: it is not installed)")
    return False


BENCHES = {"features": bench_features, "resample": bench_resample, "model": bench_model, "memory": bench_memory}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen measurements, or all."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[[], *BENCHES], help="default: everything")
    for name in parser.parse_args(arguments).what or BENCHES:
        BENCHES[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main())
