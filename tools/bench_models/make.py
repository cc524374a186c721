"""Makes the yardstick of `tools.bench model_call`: `python -m tools.bench_models.make FRAMES FEATURES`.

A depthwise-separable CNN of about 120,000 parameters in the manner of keyword spotting (Zhang and others, "Hello
Edge", 2017): one convolution of 10x4 with a stride of 2, four depthwise-separable blocks, average pooling. Its weights
are random: only its time is of interest.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

FILTERS = 160
BLOCKS = 4
LABELS = 12


def make(n_frames: int, n_features: int) -> bytes:
    """The int8 model for a clip of that shape."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((n_frames, n_features, 1), batch_size=1)
    x = _activated(layers.Conv2D(FILTERS, (10, 4), strides=2, padding="same", use_bias=False)(inputs))
    for _ in range(BLOCKS):
        x = _activated(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = _activated(layers.Conv2D(FILTERS, 1, use_bias=False)(x))
    model = keras.Model(inputs, layers.Dense(LABELS)(layers.GlobalAveragePooling2D()(x)))
    print(f"{model.count_params():,} parameters")
    rng = np.random.default_rng(0)

    def examples() -> Iterator[list[Any]]:
        for _ in range(20):
            yield [rng.standard_normal((1, n_frames, n_features, 1)).astype(np.float32)]

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = examples
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def _activated(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    return layers.ReLU()(layers.BatchNormalization()(x))


if __name__ == "__main__":
    n_frames, n_features = int(sys.argv[1]), int(sys.argv[2])
    (Path(__file__).parent / f"ds_cnn_{n_frames}x{n_features}.tflite").write_bytes(make(n_frames, n_features))
