"""Voice activity: how likely somebody speaks, every 32 ms. Silero VAD v6 in NumPy.

Owns: the network, its state, and how it is fed. Does not know: utterances (utterances.py), other sample rates.

Source: Silero VAD, https://github.com/snakers4/silero-vad, version 6 for 16 kHz, MIT licence (silero_v6.txt). The
weights are those of silero_vad_16k_op15.onnx; tools/maintenance/silero_weights.py takes them out of it. A spectrum of
four frames goes through four convolutions over time to one vector, and that into an LSTM, whose output is the logit.

It is computed in batches of eight steps, 0.256 s, always from the same samples: how the sound was split changes no bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from edgeaudio.recognise.buffer import windows_of
from edgeaudio.types import UTTERANCE_RATE, Samples

SAMPLE_RATE: Final = UTTERANCE_RATE  # Hz
HOP_LENGTH: Final = 512  # samples from one probability to the next
BATCH: Final = 8  # probabilities that are computed at once
_CONTEXT: Final = 64  # samples before each step that it sees too
_PADDING: Final = 64  # samples mirrored at its end
_WIN_LENGTH, _HOP = 256, 128  # of the spectrum
_N_FRAMES: Final = 4
_N_BINS: Final = _WIN_LENGTH // 2 + 1
_STRIDES: Final = (1, 2, 2, 1)  # of the convolutions
_N_HIDDEN: Final = 128


class VoiceActivity:
    """Voice activity of sound without a hole. Feed all of its samples in order; call `flush` at its end."""

    def __init__(self) -> None:
        self._network = _network()
        self._hidden = np.zeros(_N_HIDDEN, np.float32)
        self._cell = np.zeros(_N_HIDDEN, np.float32)
        self._waiting: Samples = np.zeros(_CONTEXT, np.float32)  # the context, and what is not a batch yet

    def feed(self, samples: Samples) -> Samples:
        """Append samples float32 `(n,)` at 16 kHz; return the probabilities that they complete, float32 `(m,)`."""
        held = np.concatenate([self._waiting, samples])
        span = BATCH * HOP_LENGTH
        n_batches = (len(held) - _CONTEXT) // span
        found = [self._batch(held[n * span : (n + 1) * span + _CONTEXT]) for n in range(n_batches)]
        self._waiting = held[n_batches * span :].copy()  # a view would keep all of `held`
        return np.concatenate(found) if found else np.empty(0, np.float32)

    def flush(self) -> Samples:
        """Return the probabilities of the last samples, as if silence followed them. Nothing can be fed after it."""
        n_left = len(self._waiting) - _CONTEXT
        if not n_left:
            return np.empty(0, np.float32)
        silence = np.zeros(BATCH * HOP_LENGTH - n_left, np.float32)
        return self.feed(silence)[: -(-n_left // HOP_LENGTH)]

    def _batch(self, samples: Samples) -> Samples:
        network = self._network
        gates = _encoded(windows_of(samples, _CONTEXT + HOP_LENGTH, HOP_LENGTH), network) @ network.w_input
        gates += network.bias
        outputs = np.empty((BATCH, _N_HIDDEN), np.float32)
        for step in range(BATCH):
            # the weights of the three sigmoids are halved: sigmoid(x) is (1 + tanh(x / 2)) / 2
            values = np.tanh(gates[step] + self._hidden @ network.w_hidden)
            in_gate, forget_gate, new, out_gate = values.reshape(4, _N_HIDDEN)
            self._cell = (0.5 + 0.5 * forget_gate) * self._cell + (0.5 + 0.5 * in_gate) * new
            self._hidden = (0.5 + 0.5 * out_gate) * np.tanh(self._cell)
            outputs[step] = self._hidden
        logits = np.maximum(outputs, 0) @ network.w_output + network.b_output
        probabilities: Samples = np.tanh(logits * np.float32(0.5)) * np.float32(0.5) + np.float32(0.5)
        return probabilities


@dataclass(frozen=True, slots=True)
class _Network:
    """Weights, laid out for products with rows."""

    basis: Samples  # (win_length, 2 * n_bins): cosines, then sines, windowed
    kernels: tuple[Samples, ...]  # (3 * n_in, n_out) each
    biases: tuple[Samples, ...]
    w_input: Samples  # (n_hidden, 4 * n_hidden)
    w_hidden: Samples
    bias: Samples
    w_output: Samples  # (n_hidden,)
    b_output: np.float32


def _encoded(steps: Samples, network: _Network) -> Samples:
    """Return a vector for each step: `(BATCH, context + hop_length)` to `(BATCH, n_hidden)`."""
    padded = np.concatenate([steps, steps[:, -2 : -2 - _PADDING : -1]], axis=1)
    frames = np.concatenate([padded[:, n * _HOP : n * _HOP + _WIN_LENGTH] for n in range(_N_FRAMES)], axis=1)
    parts = frames.reshape(-1, _WIN_LENGTH) @ network.basis
    values = np.sqrt(np.square(parts[:, :_N_BINS]) + np.square(parts[:, _N_BINS:])).reshape(BATCH, _N_FRAMES, _N_BINS)
    for kernel, bias, stride in zip(network.kernels, network.biases, _STRIDES, strict=True):
        n_out = (values.shape[1] - 1) // stride + 1
        around = np.pad(values, ((0, 0), (1, 1), (0, 0)))
        taps = [around[:, tap : tap + stride * (n_out - 1) + 1 : stride] for tap in range(3)]
        rows = np.concatenate(taps, axis=2).reshape(BATCH * n_out, -1)
        values = np.maximum(rows @ kernel + bias, 0).reshape(BATCH, n_out, -1)
    vectors: Samples = values[:, 0]
    return vectors


@cache
def _network() -> _Network:
    with files("edgeaudio.recognise").joinpath("silero_v6.npz").open("rb") as file:
        weights = np.load(file, allow_pickle=False)
        layers = range(len(_STRIDES))
        # by gate: input, forget, new, output; all but the new one are sigmoids
        halves = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], np.float32), _N_HIDDEN)
        return _Network(
            basis=np.ascontiguousarray(weights["basis"].T),
            kernels=tuple(_as_rows(weights[f"kernel_{n}"]) for n in layers),
            biases=tuple(weights[f"bias_{n}"] for n in layers),
            w_input=np.ascontiguousarray(weights["w_input"].T * halves),
            w_hidden=np.ascontiguousarray(weights["w_hidden"].T * halves),
            bias=(weights["b_input"] + weights["b_hidden"]) * halves,
            w_output=weights["w_output"],
            b_output=np.float32(weights["b_output"]),
        )


def _as_rows(kernel: Samples) -> Samples:
    """Return a kernel `(n_out, n_in, 3)` as `(3 * n_in, n_out)`."""
    return np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(-1, kernel.shape[0]))
