"""The networks of the bundled models: small enough for a Pi, of operators that every TFLite runtime has.

Owns: layers and their sizes. Does not know: data, losses, labels' meaning.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from edgeaudio.recognise.feature_config import FeatureConfig
from edgeaudio.recognise.filters import dct_matrix

RARE = -5.0  # the logit that a teacher's answers begin at: of hundreds of sounds, a clip holds a few


def cadence_network(n_frames: int, n_features: int, n_labels: int) -> tuple[Any, Any]:
    """Return a network over time whose receptive field is the whole clip, for sounds with a rhythm.

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


def spectrum_network(config: FeatureConfig, n_frames: int, n_labels: int, n_taught: int = 0) -> tuple[Any, Any]:
    """Return a network over time and frequency, for sounds with a shape that may lie higher or lower.

    MFCC are turned back into mel bands first, since neighbouring coefficients have nothing to do with each other: a
    layer begins as the inverse of the cosine transform, and may be trained to something better. Then plain
    convolutions, which see two seconds; beside them, a branch that sees the whole clip, for what is told by its rhythm.

    n_taught: Answers that a teacher gives beside the labels. The layer for them is in the first model alone: it shapes
        what the layers below learn, and does not ship.

    Returns:
        Two models over the same weights: one that gives logits (n_labels + n_taught), to be trained, and one that gives
        scores of the labels.
    """
    inputs = keras.Input((n_frames, config.n_features))
    x = _as_bands(inputs, config, n_frames)
    for filters, size, stride in ((16, 5, 2), (24, 3, 2), (32, 3, 1), (48, 3, 2), (64, 3, 1), (96, 3, 2), (96, 3, 1)):
        x = _activated(layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x))
    y = _activated(layers.DepthwiseConv2D((9, 1), padding="same", use_bias=False)(x))
    y = _activated(layers.Conv2D(48, 1, use_bias=False)(y))
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalAveragePooling2D()(y)])
    kept = layers.Dropout(0.3)(pooled)
    logits = layers.Dense(n_labels)(kept)
    scoring = keras.Model(inputs, layers.Activation("sigmoid")(logits))
    if n_taught:
        rare = keras.initializers.Constant(RARE)
        logits = layers.Concatenate()([logits, layers.Dense(n_taught, bias_initializer=rare)(kept)])
    return keras.Model(inputs, logits), scoring


def keyword_network(config: FeatureConfig, n_frames: int, n_labels: int) -> tuple[Any, Any]:
    """Return a network for words, of which one at most is in the middle of a clip: scores are a softmax.

    After Zhang and others, "Hello Edge: Keyword Spotting on Microcontrollers" (2017): convolutions, then pairs of
    depthwise and pointwise ones. Two things differ: MFCC are turned back into mel bands first, as in
    `spectrum_network`, and the last map is weighed by place instead of averaged, since the same word in the middle of
    a clip and at its edge are two answers. About 50 KB as int8.

    Returns:
        Two models over the same weights: one that gives logits, to be trained, and one that gives scores.
    """
    inputs = keras.Input((n_frames, config.n_features))
    x = _as_bands(inputs, config, n_frames)
    for filters, size, stride in ((16, 5, 2), (24, 3, 1), (32, 3, 2)):
        x = _activated(layers.Conv2D(filters, size, strides=stride, padding="same", use_bias=False)(x))
    for filters, stride in ((64, 1), (64, 1), (64, 2)):
        x = _activated(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x))
        x = _activated(layers.Conv2D(filters, 1, use_bias=False)(x))
    x = layers.DepthwiseConv2D((x.shape[1], x.shape[2]), use_bias=False)(layers.SpatialDropout2D(0.1)(x))
    x = layers.Flatten()(_activated(x))
    logits = layers.Dense(n_labels)(layers.Dropout(0.2)(x))
    network, scoring = keras.Model(inputs, logits), keras.Model(inputs, layers.Softmax()(logits))
    return network, scoring


def _as_bands(inputs: Any, config: FeatureConfig, n_frames: int) -> Any:  # noqa: ANN401 - Keras has no types
    """Return `(n_frames, n_mels, 1)`; of MFCC by a layer that begins as the inverse of the cosine transform."""
    x = inputs
    if config.kind == "mfcc":
        bands = layers.Conv2D(config.n_mels, 1, name="mel_bands")
        x = bands(layers.Reshape((n_frames, 1, config.n_mfcc))(x))
        bands.set_weights(_mel_bands(config))
    return layers.Reshape((n_frames, config.n_mels, 1))(x)


def _mel_bands(config: FeatureConfig) -> list[NDArray[np.float32]]:
    """Return weights (1, 1, n_mfcc, n_mels) and bias (n_mels,) that turn normalised MFCC into bands near unit range."""
    back = np.linalg.pinv(dct_matrix(config))
    mean, std = (np.asarray(values, dtype=np.float32) for values in (config.mean, config.std))
    # the deviation of the bands, were the coefficients independent
    range_db = np.sqrt(((std[:, None] * back) ** 2).sum(axis=0).mean())
    bias = mean @ back
    weights = (std[:, None] * back / range_db)[None, None]
    return [weights.astype(np.float32), ((bias - bias.mean()) / range_db).astype(np.float32)]


def _activated(x: Any) -> Any:  # noqa: ANN401 - Keras has no types
    return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.95)(x))
