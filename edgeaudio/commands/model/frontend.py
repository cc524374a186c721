"""The external front end of a model: another `.tflite` file that computes its features."""

from __future__ import annotations

import hashlib
from math import prod

import numpy as np

from edgeaudio.commands.model.init_options import Work
from edgeaudio.commands.model.shape import OPEN, closed
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.tflite_file import Tensor, read_tensors


def take_frontend(work: Work, content: bytes, behind: Tensor) -> Tensor:
    """Fill in `input.frontend` and its keys; returns the tensor that takes the waveform.

    behind: the input of the model behind it. Raises EdgeaudioError, in one line, if an option is needed.
    """
    file = work.options.frontend or work.file
    section = work.section("input")
    inputs, outputs = read_tensors(file, content)
    tensor = closed(work, inputs[0])
    section.setdefault("kind", "waveform")
    section.setdefault("frontend", file.name)
    section["frontend_sha256"] = hashlib.sha256(content).hexdigest()
    if tensor.dtype == "int16" and not tensor.scale:
        section.setdefault("frontend_scale", float(np.iinfo(np.int16).max + 1))
    elif "frontend_scale" not in section:
        work.guess("input", "frontend_scale", 1.0, "samples from -1 to 1; say 32768 where it wants 16-bit values")
    n_wanted, n_made, n_taken = (prod(each.shape) for each in (behind, outputs[0], tensor))
    if OPEN in tensor.shape + behind.shape + outputs[0].shape or n_made == n_wanted:
        return tensor
    hop = section.get("frontend_hop")
    if n_wanted % n_made or not isinstance(hop, int) or hop < 1:
        raise EdgeaudioError(
            f"{file}: makes {n_made} values of {n_taken} samples, and {work.file} takes {n_wanted}; say how many "
            "samples lie between its frames with --set input.frontend_hop=N"
        )
    n_samples = n_taken + (n_wanted // n_made - 1) * hop
    work.section("clip").setdefault("n_samples", n_samples)
    return Tensor(tensor.name, (1, n_samples), tensor.dtype, tensor.scale, tensor.zero_point)
