"""Content of a `.tflite` file that describes it: its tensors, its metadata, and the files packed into it."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from edgeaudio.recognise.flatbuffer import FlatbufferError
from edgeaudio.recognise.interpreter import ModelError, open_interpreter
from edgeaudio.recognise.tflite_metadata import Metadata, read_metadata

MAX_PACKED_BYTES, MAX_ALL_PACKED_BYTES = 2_000_000, 32_000_000
# the methods that model makers pack with; other methods, and what they raise, differ between Python versions
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
    """Return the input and output tensors of a model; errors name `file`. Raises ModelError."""
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


def read_model_metadata(file: Path, content: bytes) -> Metadata:
    """Return the metadata in the file; errors name `file`. Raises ModelError."""
    try:
        return read_metadata(content)
    except FlatbufferError as error:
        raise ModelError(file, f"its metadata is damaged: {error}") from None


def packed_files(content: bytes) -> dict[str, bytes]:
    """Return the files in the zip archive that may follow the model (mostly labels), by name.

    Files over 2 MB, and those beyond 32 MB together, are omitted; so is the rest of a damaged archive.
    """
    files: dict[str, bytes] = {}
    left = MAX_ALL_PACKED_BYTES
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.compress_type not in _METHODS:
                    continue
                with archive.open(entry) as member:
                    data = member.read(min(left, MAX_PACKED_BYTES) + 1)
                if len(data) <= min(left, MAX_PACKED_BYTES):
                    files[entry.filename] = data
                    left -= len(data)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError):
        return files
    return files
