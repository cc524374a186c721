"""The networks that this project trains: small enough for a Pi, in operators that every TFLite runtime knows.

Owns: layers and their sizes. Does not know: data, losses, labels' meaning.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers


def cadence_network(n_frames: int, n_features: int, n_labels: int) -> tuple[Any, Any]:
    """A network over time whose view spans the whole clip, for sounds that are told by their rhythm.

    Plain convolutions bring (n_frames, n_features) down to an eighth of the frames, then wide depthwise ones relate
    what is seconds apart. Features are the channels: there is no second dimension to slide over.

    Returns:
        Two models over the same weights: one that gives logits, to be trained, and one that gives scores.
    """
    inputs = keras.Input((n_frames, n_features))
    x = layers.Reshape((n_frames, 1, n_features))(inputs)
    for filters, stride in ((64, 2), (64, 1), (64, 2), (64, 1), (96, 2)):
        x = _activated(layers.Conv2D(filters, (5, 1), strides=(stride, 1), padding="same", use_bias=False)(x))
    for _ in range(3):
        y = _activated(layers.DepthwiseConv2D((15, 1), padding="same", use_bias=False)(x))
        y = layers.BatchNormalization(momentum=0.95)(layers.Conv2D(96, 1, use_bias=False)(y))
        x = layers.ReLU(6.0)(layers.Add()([x, y]))
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    logits = layers.Dense(n_labels)(layers.Dropout(0.2)(pooled))
    return keras.Model(inputs, logits), keras.Model(inputs, layers.Activation("sigmoid")(logits))


def spectrum_network(n_frames: int, n_features: int, n_labels: int) -> tuple[Any, Any]:
    """A network over time and frequency, for sounds that are told by their shape and may lie higher or lower.

    Returns:
        Two models over the same weights: one that gives logits, to be trained, and one that gives scores.
    """
    inputs = keras.Input((n_frames, n_features))
    x = layers.Reshape((n_frames, n_features, 1))(inputs)
    for filters, size, stride in ((16, 5, 2), (24, 3, 2), (32, 3, 1), (48, 3, 2), (64, 3, 1), (96, 3, 2)):
        x = _activated(layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x))
    x = _activated(layers.Conv2D(144, 1, use_bias=False)(x))
    for _ in range(3):
        y = _activated(layers.DepthwiseConv2D((5, 3), padding="same", use_bias=False)(x))
        y = layers.BatchNormalization(momentum=0.95)(layers.Conv2D(144, 1, use_bias=False)(y))
        x = layers.ReLU(6.0)(layers.Add()([x, y]))
    logits = layers.Dense(n_labels)(layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x)))
    return keras.Model(inputs, logits), keras.Model(inputs, layers.Activation("sigmoid")(logits))


def _activated(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.95)(x))
