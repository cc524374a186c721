"""The training loop: batches in, a trained network and its losses out. A stopped training is resumed.

Owns: optimiser, learning rate, loss, checkpoints, progress bar. Does not know: what is in a batch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray
from tqdm import tqdm

Floats = NDArray[np.float32]
Batches = Callable[[np.random.Generator], Iterable[tuple[Floats, Floats]]]

WARM_UP = 0.06  # share of all steps
FIRST_RATE = 0.05  # of the highest learning rate
CHECKPOINT_EVERY = 10  # epochs


class Epoch(NamedTuple):
    """Loss and duration of one epoch."""

    loss: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Length and learning rate of a training."""

    epochs: int
    steps: int  # batches an epoch
    seed: int
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    label_smoothing: float = 0.02
    is_exclusive: bool = False  # one answer a clip: softmax instead of a sigmoid each
    teacher_weight: float = 1.0  # of the loss on one of a teacher's answers, against that on one of the labels'


def fit(network: Any, batches: Batches, plan: Plan, folder: Path, name: str) -> list[Epoch]:  # noqa: ANN401 - Keras has no types
    """Train `network`, which gives logits; returns loss and duration of every epoch.

    batches: called with an epoch's own random numbers, yields `plan.steps` pairs of values (n, ...) and targets
        (n, 2 * n_labels + n_taught): the answers from 0 to 1, whether each counts, and a teacher's answers to the
        logits that follow those of the labels.
    folder: of checkpoints; a training with a checkpoint there is resumed.
    """
    rate = keras.optimizers.schedules.CosineDecay(
        FIRST_RATE * plan.learning_rate,
        plan.steps * plan.epochs,
        warmup_target=plan.learning_rate,
        warmup_steps=round(WARM_UP * plan.steps * plan.epochs),
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=plan.weight_decay)
    network.compile(optimizer, loss=_exclusive_loss(plan.label_smoothing) if plan.is_exclusive else _loss(plan))
    optimizer.build(network.trainable_variables)
    checkpoint = tf.train.Checkpoint(network=network, optimizer=optimizer)
    progress_file = folder / "progress.json"
    history: list[Epoch] = []
    if progress_file.exists():
        history = [Epoch(*epoch) for epoch in json.loads(progress_file.read_text())]
        checkpoint.read(str(folder / "checkpoint")).expect_partial()
    for epoch in tqdm(
        range(len(history), plan.epochs), desc=name, unit="epoch", initial=len(history), total=plan.epochs
    ):
        rng = np.random.default_rng((plan.seed, epoch))
        begin_s = time.monotonic()
        losses = [network.train_on_batch(*batch) for batch in _one_ahead(batches(rng))]
        history.append(Epoch(float(np.mean(losses)), time.monotonic() - begin_s))
        if (epoch + 1) % CHECKPOINT_EVERY == 0:
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint.write(str(folder / "checkpoint"))
            progress_file.write_text(json.dumps(history))
    return history


def _one_ahead(batches: Iterable[tuple[Floats, Floats]]) -> Iterator[tuple[Floats, Floats]]:
    """Yield the same batches, each made while the one before is trained on."""
    source = iter(batches)
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, source, None)
        while (batch := coming.result()) is not None:
            coming = maker.submit(next, source, None)
            yield batch


def _loss(plan: Plan) -> Callable[[Any, Any], Any]:
    """Return the binary cross-entropy over the answers that count, and over those of a teacher.

    A teacher's answers are summed and divided by the number of labels: among hundreds, a few are not near 0.
    """

    def loss(targets: Any, logits: Any) -> Any:  # noqa: ANN401
        n = targets.shape[-1] - logits.shape[-1]
        answers = targets[:, :n] * (1 - plan.label_smoothing) + plan.label_smoothing / 2
        total = ops.mean(_entropy(answers, logits[:, :n]) * targets[:, n : 2 * n])
        if logits.shape[-1] > n:
            taught = ops.sum(_entropy(targets[:, 2 * n :], logits[:, n:]), axis=-1) / n
            total += plan.teacher_weight * ops.mean(taught)
        return total

    return loss


def _entropy(answers: Any, logits: Any) -> Any:  # noqa: ANN401
    return ops.maximum(logits, 0.0) - logits * answers + ops.log1p(ops.exp(-ops.abs(logits)))


def _exclusive_loss(smoothing: float) -> Callable[[Any, Any], Any]:
    """Return the cross-entropy of a softmax; of the targets, only the answers are used."""

    def loss(targets: Any, logits: Any) -> Any:  # noqa: ANN401
        n = logits.shape[-1]
        answers = targets[:, :n] * (1 - smoothing) + smoothing / n
        return -ops.mean(ops.sum(answers * ops.log_softmax(logits, axis=-1), axis=-1))

    return loss
