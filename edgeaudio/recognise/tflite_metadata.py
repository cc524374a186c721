"""TFLITE_METADATA: the description of tensors that TensorFlow Lite Support, Model Maker and MediaPipe put into a model.

Owns: the parsing of that flatbuffer. Does not know: manifests, or the label files that it names.

Fields are those of metadata_schema.fbs 1.3 in tensorflow/tflite-support, and of schema.fbs 3 around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from edgeaudio.recognise.flatbuffer import Table, root_of

NAME = "TFLITE_METADATA"
_BUFFERS, _METADATA = 4, 6  # Model
_METADATA_NAME, _METADATA_BUFFER = 0, 1  # Metadata
_DATA = 0  # Buffer
_DESCRIPTION, _SUBGRAPHS, _LICENSE, _FILES = 1, 3, 5, 6  # ModelMetadata
_INPUTS, _OUTPUTS, _SUBGRAPH_FILES = 2, 3, 4  # SubGraphMetadata
_CONTENT, _PROCESS_UNITS, _TENSOR_FILES = 3, 4, 6  # TensorMetadata
_FILE_NAME, _FILE_TYPE, _LOCALE = 0, 2, 3  # AssociatedFile
_KIND, _VALUE = 0, 1  # of a union, at the start of Content and ProcessUnit
_AUDIO_PROPERTIES = 4
_SAMPLE_RATE, _CHANNELS = 0, 1  # AudioProperties
_NORMALIZATION, _SCORE_CALIBRATION, _SCORE_THRESHOLDING = 1, 2, 3
_MEAN, _STD = 0, 1  # NormalizationOptions
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # AssociatedFileType


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A label file in the archive after the model."""

    name: str
    locale: str = ""  # "en", "pt-BR"; empty: unknown


@dataclass(frozen=True, slots=True)
class TensorMetadata:
    """Description of one tensor. 0, None and empty: unknown."""

    sample_rate: int = 0
    channels: int = 0
    mean: tuple[float, ...] = ()  # values become (x - mean) / std
    std: tuple[float, ...] = ()
    label_files: tuple[LabelFile, ...] = ()
    threshold: float | None = None  # scores below it mean nothing
    calibrated: bool = False  # by a table that is not read here


@dataclass(frozen=True, slots=True)
class Metadata:
    """Description of a model."""

    description: str = ""
    license: str = ""
    inputs: tuple[TensorMetadata, ...] = ()
    outputs: tuple[TensorMetadata, ...] = ()
    label_files: tuple[LabelFile, ...] = ()  # of the model as a whole

    def input(self, index: int) -> TensorMetadata:
        """Return the description of an input, which may be empty."""
        return self.inputs[index] if index < len(self.inputs) else TensorMetadata()

    def output(self, index: int) -> TensorMetadata:
        """Return the description of an output, which may be empty."""
        return self.outputs[index] if index < len(self.outputs) else TensorMetadata()


def read_metadata(content: bytes) -> Metadata:
    """Return the metadata of a `.tflite` file, empty if it has none. Raises FlatbufferError if it is damaged."""
    model = root_of(content)
    entry = next((entry for entry in model.tables(_METADATA) if entry.text(_METADATA_NAME) == NAME), None)
    if entry is None:
        return Metadata()
    # the buffers of the weights before it are skipped
    buffer = model.item(_BUFFERS, entry.number(_METADATA_BUFFER, "<I"))
    root = root_of(buffer.numbers(_DATA, "<u1").tobytes())
    graphs = root.tables(_SUBGRAPHS)[:1]  # the main one
    return Metadata(
        root.text(_DESCRIPTION),
        root.text(_LICENSE),
        tuple(_tensor(tensor) for graph in graphs for tensor in graph.tables(_INPUTS)),
        tuple(_tensor(tensor) for graph in graphs for tensor in graph.tables(_OUTPUTS)),
        tuple(file for graph in graphs for file in _label_files(graph, _SUBGRAPH_FILES))
        + tuple(_label_files(root, _FILES)),
    )


def _tensor(table: Table) -> TensorMetadata:
    audio = _chosen(table.table(_CONTENT), _AUDIO_PROPERTIES)
    units = table.tables(_PROCESS_UNITS)
    normal = _first(units, _NORMALIZATION)
    threshold = _first(units, _SCORE_THRESHOLDING)
    return TensorMetadata(
        sample_rate=audio.number(_SAMPLE_RATE, "<I") if audio else 0,
        channels=audio.number(_CHANNELS, "<I") if audio else 0,
        mean=tuple(normal.numbers(_MEAN, "<f4").tolist()) if normal else (),
        std=tuple(normal.numbers(_STD, "<f4").tolist()) if normal else (),
        label_files=tuple(_label_files(table, _TENSOR_FILES)),
        threshold=threshold.number(0, "<f") if threshold else None,
        calibrated=_first(units, _SCORE_CALIBRATION) is not None,
    )


def _first(units: list[Table], kind: int) -> Table | None:
    return next((options for unit in units if (options := _chosen(unit, kind))), None)


def _chosen(union: Table | None, kind: int) -> Table | None:
    """Return the value of a union, if it is of that kind."""
    return union.table(_VALUE) if union and union.number(_KIND, "<B") == kind else None


def _label_files(table: Table, field: int) -> Iterator[LabelFile]:
    for file in table.tables(field):
        if file.number(_FILE_TYPE, "<b") in (_AXIS_LABELS, _VALUE_LABELS):
            yield LabelFile(file.text(_FILE_NAME), file.text(_LOCALE))
