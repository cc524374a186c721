"""What a `.tflite` file says of itself: its tensors, and the text files packed into it.

Owns: the reading of both. Does not know: manifests, or what the tensors mean.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.recognise.model import open_interpreter

MAX_PACKED_BYTES = 2_000_000
# what model makers pack with; which others can be read, and what they raise, differs from Python to Python
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output tensor."""

    name: str
    shape: tuple[int, ...]  # -1: any length
    dtype: str  # "float32", "int8"
    scale: float  # real value of one step; 0: not quantised
    zero_point: int


def read_tensors(file: Path, content: bytes) -> tuple[list[Tensor], list[Tensor]]:
    """Input and output tensors of a model; `file` is what errors name. Raises ModelError."""
    interpreter = open_interpreter(file, content)
    return (
        [_tensor(details) for details in interpreter.get_input_details()],
        [_tensor(details) for details in interpreter.get_output_details()],
    )


def _tensor(details: dict[str, Any]) -> Tensor:
    scale, zero_point = details["quantization"]
    return Tensor(
        name=details["name"],
        shape=tuple(int(n) for n in details["shape_signature"]),
        dtype=np.dtype(details["dtype"]).name,
        scale=float(scale),
        zero_point=int(zero_point),
    )


def packed_texts(content: bytes) -> dict[str, str]:
    """The text files in the zip archive that a model may carry at its end (labels, as a rule), by name.

    What is no text, or larger than 2 MB, is left out; a damaged archive is none.
    """
    texts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.compress_type not in _METHODS:
                    continue
                with archive.open(entry) as member:
                    data = member.read(MAX_PACKED_BYTES + 1)
                if len(data) <= MAX_PACKED_BYTES:
                    try:
                        texts[entry.filename] = data.decode()
                    except UnicodeDecodeError:
                        continue
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        return texts
    return texts
