"""Makes the test models: the smallest `.tflite` files of every kind that edgeaudio must run or refuse.

    python tests/recognise/models/make.py

Made with TensorFlow 2.21.0. Most give three scores, the means of the first, second and last third of
a clip of 120 samples, so that a test knows the answer without running TensorFlow. No operator is newer
than tflite-runtime 2.14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

HERE = Path(__file__).parent
N_SAMPLES, N_LABELS = 120, 3
N_FRAMES, N_MELS = 24, 3

Tensor = Any


def thirds(x: Tensor) -> Tensor:
    """(1, 120) to (1, 3)."""
    return tf.reduce_mean(tf.reshape(x, (1, N_LABELS, -1)), axis=2)


def patches(x: Tensor) -> Tensor:
    """(n * 120,) to (n, 3)."""
    return tf.reduce_mean(tf.reshape(x, (-1, N_LABELS, N_SAMPLES // N_LABELS)), axis=2)


def converter(function: Callable[..., Any], *shapes: tuple[int | None, ...], dtype: Any = tf.float32) -> Any:
    """A converter for a function of tensors of those shapes."""
    signature = [tf.TensorSpec(shape, dtype) for shape in shapes]
    concrete = tf.function(function, input_signature=signature).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], concrete.graph)


def quantised(function: Callable[..., Any], shape: tuple[int, ...], dtype: Any) -> bytes:
    """Full integer quantisation for inputs in [-1, 1]."""
    chosen = converter(function, shape)
    chosen.optimizations = [tf.lite.Optimize.DEFAULT]
    rng = np.random.default_rng(0)
    extremes = [np.full(shape, value, np.float32) for value in (-1, 1)]
    noise = [rng.uniform(-1, 1, shape).astype(np.float32) for _ in range(8)]
    chosen.representative_dataset = lambda: ([x] for x in extremes + noise)
    operators = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    if dtype == tf.int16:
        operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    chosen.target_spec.supported_ops = [operators]
    chosen.inference_input_type = chosen.inference_output_type = dtype
    return bytes(chosen.convert())


def lone_one(content: bytes) -> bytes:
    """The same model, its open input length written as 1, as older converters did."""
    model = flatbuffer_utils.convert_bytearray_to_object(content)
    graph = model.subgraphs[0]
    tensor: schema.TensorT = graph.tensors[graph.inputs[0]]
    tensor.shapeSignature = None
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def first_thirds(x: Tensor) -> Tensor:
    """(1, n) to (1, 3): the shares of the thirds of what is a multiple of three."""
    whole = int(x.shape[1]) // N_LABELS * N_LABELS
    return tf.nn.softmax(thirds(x[:, :whole]))


def bands(x: Tensor) -> Tensor:
    """(1, frames, bins, 1) to (1, 3): the shares of low, middle and high bins."""
    low_to_high = tf.stack([tf.reduce_mean(x[:, :, i * 77 : (i + 1) * 77]) for i in range(N_LABELS)])
    return tf.nn.softmax(low_to_high[None])


def running_mean(x: Tensor) -> Tensor:
    """(1, frames, mels) to (1, mels), frame by frame."""
    zero = tf.zeros((1, N_MELS))
    _, total = tf.while_loop(
        lambda i, _: i < N_FRAMES, lambda i, sum_: (i + 1, sum_ + tf.gather(x, i, axis=1)), (tf.constant(0), zero)
    )
    return total / float(N_FRAMES)


def wake_word() -> bytes:
    """(1, 3, 40) to (1, 1): half of the mean and half of the one before, as a share of 32; in a variable."""

    class Level(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            super().__init__()
            self.last = tf.Variable(np.zeros((1, 1), np.float32))

        @tf.function(input_signature=[tf.TensorSpec((1, 3, 40), tf.float32)])
        def run(self, x: Tensor) -> Tensor:
            self.last.assign(0.5 * self.last + 0.5 * tf.reduce_mean(x, (1, 2))[:, None])
            return tf.minimum(self.last / 32.0, 1.0)

    return with_variables(Level())


def with_variables(module: Tensor) -> bytes:
    """A module whose `run` writes to resource variables."""
    with TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=module.run)
        chosen = tf.lite.TFLiteConverter.from_saved_model(folder)
        chosen.experimental_enable_resource_variables = True
        return bytes(chosen.convert())


def written_variable() -> bytes:
    """A model whose scores are the mean of this clip's and the last run's, kept in a resource variable."""

    class Smoothed(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            super().__init__()
            self.last = tf.Variable(np.zeros((1, N_LABELS), np.float32))

        @tf.function(input_signature=[tf.TensorSpec((1, N_SAMPLES), tf.float32)])
        def run(self, x: Tensor) -> Tensor:
            self.last.assign(0.5 * self.last + 0.5 * thirds(x))
            return self.last + 0.0

    return with_variables(Smoothed())


def unset_variable() -> bytes:
    """A Keras layer converted from a function, which leaves its weights out."""
    layers = tf.keras.Sequential([tf.keras.layers.Input((N_SAMPLES,), batch_size=1), tf.keras.layers.Dense(N_LABELS)])
    signature = [tf.TensorSpec((1, N_SAMPLES), tf.float32)]
    concrete = tf.function(lambda x: layers(x, training=False), input_signature=signature).get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], layers).convert())


def models() -> Iterator[tuple[str, bytes]]:
    """Name and content of every test model."""
    waveform = (1, N_SAMPLES)
    yield "waveform", converter(thirds, waveform).convert()
    yield "waveform_int8", quantised(thirds, waveform, tf.int8)
    yield "waveform_uint8", quantised(thirds, waveform, tf.uint8)
    yield "waveform_int16", quantised(thirds, waveform, tf.int16)
    yield (
        "waveform_raw_int16",
        converter(lambda x: thirds(tf.cast(x, tf.float32) / 32768.0), (N_SAMPLES,), dtype=tf.int16).convert(),
    )
    yield "waveform_logits", converter(lambda x: 8.0 * thirds(x), waveform).convert()
    yield "waveform_two_outputs", converter(lambda x: (thirds(x), 1.0 - thirds(x)[:, :2]), waveform).convert()
    yield "waveform_two_inputs", converter(lambda x, y: thirds(x) + y, waveform, (1, N_LABELS)).convert()
    open_length = converter(patches, (None,)).convert()
    yield "waveform_open_length", open_length
    yield "waveform_lone_one", lone_one(open_length)
    yield "waveform_nan", converter(lambda x: tf.math.log(thirds(x) - 2.0), waveform).convert()
    # features: each score the mean of one mel over time
    yield "features_time_major", quantised(lambda x: tf.reduce_mean(x, axis=(1, 3)), (1, N_FRAMES, N_MELS, 1), tf.int8)
    yield "features_mel_major", converter(lambda x: tf.reduce_mean(x, axis=(1, 3)), (1, 1, N_MELS, N_FRAMES)).convert()
    flat = (1, N_FRAMES * N_MELS)
    yield (
        "features_flat",
        converter(lambda x: tf.reduce_mean(tf.reshape(x, (1, N_FRAMES, N_MELS)), axis=1), flat).convert(),
    )
    # converted without a batch of their own, as MLPerf Tiny's are
    open_batch = (None, N_FRAMES, N_MELS, 1)
    yield "features_open_batch", converter(lambda x: tf.reduce_mean(x, axis=(1, 3)), open_batch).convert()
    yield (
        "features_flat_open_batch",
        converter(lambda x: tf.reduce_mean(tf.reshape(x, (-1, N_FRAMES, N_MELS)), axis=1), (None, flat[1])).convert(),
    )
    yield "waveform_open_batch", converter(lambda x: patches(tf.reshape(x, (-1,))), (None, N_SAMPLES)).convert()
    yield "features_open_frames", converter(lambda x: tf.reduce_mean(x, axis=1), (None, None, N_MELS)).convert()
    # a spectrogram in the shape of Teachable Machine's, its thirds from low to high
    yield "spectrogram_teachable", converter(bands, (1, 43, 232, 1)).convert()
    # gives half of its input back: its error is a quarter of the input's mean square
    yield "autoencoder", converter(lambda x: 0.5 * x, (1, N_FRAMES, N_MELS)).convert()
    yield "autoencoder_int8", quantised(lambda x: 0.5 * x, (1, N_FRAMES, N_MELS), tf.int8)
    yield "features_row_of_three", converter(lambda x: x * 1.0, (1, N_LABELS)).convert()
    # front ends for the models of 24 frames of 3 mels: the means of each 5 samples, of a clip or of a frame at a time
    yield (
        "frontend_clip",
        converter(lambda x: tf.reduce_mean(tf.reshape(x, (1, -1, 5)), axis=2), (None, None)).convert(),
    )
    yield (
        "frontend_frame",
        converter(
            lambda x: tf.reduce_mean(tf.reshape(tf.cast(x, tf.float32) / 32768.0, (1, N_MELS, 5)), axis=2),
            (1, 15),
            dtype=tf.int16,
        ).convert(),
    )
    # in the shapes of Edge Impulse's blocks (a second in one row), and of MLPerf Tiny's keywords and anomaly detection
    yield "shape_edge_impulse_mfe", quantised(first_thirds, (1, 99 * 40), tf.int8)
    yield "shape_edge_impulse_mfcc", quantised(first_thirds, (1, 50 * 13), tf.int8)
    yield (
        "shape_keywords",
        converter(lambda x: tf.nn.softmax(tf.reduce_mean(x, (1, 3))[:, :3]), (None, 49, 10, 1)).convert(),
    )
    yield "shape_anomalies", converter(lambda x: 0.5 * x, (None, 5 * 128)).convert()
    # the running mean of the frames, in a loop inside the graph: nothing is kept after the run
    yield "recurrent_loop", converter(running_mean, (1, N_FRAMES, N_MELS)).convert()
    # in the shape of microWakeWord's
    yield "wake_word", wake_word()
    # to be refused; the first is none for a manifest that is stateful
    yield "refused_written_variable", written_variable()
    yield "refused_unset_variable", unset_variable()
    yield "refused_int64_output", converter(lambda x: tf.argmax(thirds(x), axis=1), waveform).convert()
    yield "refused_int32_input", converter(lambda x: thirds(tf.cast(x, tf.float32)), waveform, dtype=tf.int32).convert()
    yield "refused_scalar_output", converter(tf.reduce_mean, waveform).convert()
    custom = converter(lambda x: tf.math.betainc(x, x, x), waveform)
    custom.allow_custom_ops = True
    yield "refused_custom_operator", custom.convert()
    # says that it takes any length, and takes one
    one_length = np.linspace(1, 2, N_SAMPLES, dtype=np.float32)
    yield "refused_length", converter(lambda x: thirds(x * one_length), (None,)).convert()


def main() -> None:
    """Write them all beside this file."""
    for name, content in models():
        path = HERE / f"{name}.tflite"
        path.write_bytes(content)
        print(f"{path.name}: {len(content)} bytes")


if __name__ == "__main__":
    main()
