"""The shape of an input tensor with its open dimensions filled in."""

from __future__ import annotations

from dataclasses import replace

from edgeaudio.commands.model.init_options import Work
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.tflite_file import Tensor

OPEN = -1


def given_axes(work: Work, tensor: Tensor) -> list[str]:
    """Return the axes of the options, if they are as many as the tensor's; else none."""
    axes = work.section("input").get("axes")
    return [str(axis) for axis in axes] if isinstance(axes, list) and len(axes) == len(tensor.shape) else []


def waveform_axes(tensor: Tensor) -> tuple[int, list[str]]:
    """Return the length of a tensor of sound, 0 of a single number, and the names of its axes."""
    shape = tensor.shape
    longest = max(range(len(shape)), key=lambda i: (shape[i] == OPEN, shape[i])) if shape else 0
    others = iter(["batch"] if longest else [])
    axes = ["time" if i == longest else next(others, "channel") for i in range(len(shape))]
    return shape[longest] if shape else 0, axes


def closed(work: Work, tensor: Tensor) -> Tensor:
    """Return the tensor with at most one open dimension: the length of a clip.

    A batch is 1, and so is every open dimension beside two known ones. Raises EdgeaudioError if more stay open.
    """
    shape = list(tensor.shape)
    stated = work.table.get("features", {})
    n_features = stated.get("n_mfcc") or stated.get("n_mels") or stated.get("n_bins")
    if axes := given_axes(work, tensor):
        sizes = {"batch": 1, "channel": 1, "feature": n_features or OPEN}
        shape = [sizes.get(axis, n) if n == OPEN else n for n, axis in zip(shape, axes, strict=True)]
    elif shape[:1] == [OPEN] and any(n != 1 for n in shape[1:]):
        shape[0] = 1
    if sum(n > 1 for n in shape) > 1:
        shape = [1 if n == OPEN else n for n in shape]
    if n_features and OPEN in shape and n_features not in shape and max(shape) > 1:
        shape[shape.index(OPEN)] = n_features
    if shape.count(OPEN) > 1:
        raise EdgeaudioError(
            f"{work.file}: its input is {list(tensor.shape)}, with more than one open length: name its axes, as in "
            '--set \'input.axes=["batch", "time", "feature"]\', and say --set features.n_mels=N (or n_mfcc, n_bins)'
        )
    return replace(tensor, shape=tuple(shape))
