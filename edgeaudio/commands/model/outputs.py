"""The output of a model that gives the scores, and its labels.

Owns: the choice of the output and of the label file: by options, metadata, and sizes that fit.
Does not know: formats of label files (labels.py), inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path

from edgeaudio.commands.model.init_options import Work
from edgeaudio.commands.model.labels import Labels, distinct_labels, read_labels
from edgeaudio.commands.model.shape import OPEN
from edgeaudio.errors import EdgeaudioError
from edgeaudio.recognise.tflite_file import Tensor
from edgeaudio.recognise.tflite_metadata import LabelFile, Metadata
from edgeaudio.settings.reading import read_file_or_pipe

MAX_BYTES = 2_000_000
MOST_SHOWN = 3


def name_outputs(work: Work, outputs: Sequence[Tensor], metadata: Metadata, packed: Mapping[str, bytes]) -> int:
    """Fill in `labels` and `output.index`; returns the index. Raises EdgeaudioError if the user must choose."""
    stated = work.section("output").get("index")
    if stated is not None and (type(stated) is not int or not 0 <= stated < len(outputs)):
        raise EdgeaudioError(f"{work.file}: has {len(outputs)} outputs; output.index cannot be {stated}")
    chosen = range(len(outputs)) if stated is None else [stated]
    if "labels" not in work.table and not work.options.labels:
        described = {i: files for i in chosen if (files := _packed_files(metadata, i, len(outputs), packed))}
        if described:
            index = _one_of(work, outputs, {i: _by_language(work, files, packed) for i, files in described.items()})
            _take(work, _by_language(work, described[index], packed, work.guesses))
            return index
    elsewhere = _label_names(metadata, set(range(len(outputs))) - set(chosen)) - _label_names(metadata, chosen)
    own = {name: data for name, data in packed.items() if name not in elsewhere}
    labels = _labels(work, outputs, chosen, packed if work.options.labels else own)
    named = str(work.options.labels or "")
    if named in elsewhere:
        work.guesses.append(f"labels: {named}, as you say; the file's metadata gives it to another output")
    if work.section("output").get("kind") == "reconstruction_error":
        return _one_of(work, outputs, dict.fromkeys(chosen, labels))
    fitting = {i: labels for i in chosen if _size(outputs[i]) in (len(labels.names), OPEN)}
    if owners := [i for i in fitting if named in _label_names(metadata, [i])]:
        fitting = dict.fromkeys(owners, labels)
    if not fitting and len(chosen) > 1:
        sizes = ", ".join(f"{i}: {list(outputs[i].shape)}" for i in chosen)
        raise EdgeaudioError(
            f"{work.file}: none of its outputs ({sizes}) gives {len(labels.names)} scores, one a label"
        )
    index = _one_of(work, outputs, fitting or dict.fromkeys(chosen, labels))
    _take(work, labels)
    return index


def is_autoencoder(work: Work, given: Tensor, outputs: Sequence[Tensor], packed: Mapping[str, bytes]) -> bool:
    """True if the model reconstructs its input: by the options, else by its shapes if there are no labels."""
    section = work.section("output")
    if "kind" not in section and len(outputs) == 1 and not (packed or work.options.labels or "labels" in work.table):
        shapes = [tuple(1 if n == OPEN else n for n in tensor.shape) for tensor in (given, outputs[0])]
        if shapes[0] == shapes[1] and prod(shapes[0]) > 1:
            work.guess("output", "kind", "reconstruction_error", "its output has the shape of its input")
    return bool(section.get("kind") == "reconstruction_error")


def _label_names(metadata: Metadata, indices: Iterable[int]) -> set[str]:
    """Return the label files that the metadata names for those outputs."""
    return {file.name for i in indices for file in metadata.output(i).label_files}


def _take(work: Work, labels: Labels) -> None:
    if "labels" in work.table:
        return
    apart = distinct_labels(labels.names)
    work.table["labels"] = apart.names
    work.guesses += labels.guesses + apart.guesses


def _size(tensor: Tensor) -> int:
    return tensor.shape[-1] if tensor.shape else 0


def _one_of(work: Work, outputs: Sequence[Tensor], fitting: Mapping[int, Labels]) -> int:
    """Fill in the index of the only output that fits, and return it. Raises EdgeaudioError if several do."""
    section = work.section("output")
    if len(fitting) > 1:
        choices = "; ".join(
            f"{i}: {outputs[i].name} {list(outputs[i].shape)}, {_some(labels.names)}" for i, labels in fitting.items()
        )
        raise EdgeaudioError(
            f"{work.file}: {len(fitting)} outputs fit ({choices}); say which with --set output.index=N"
        )
    (index,) = fitting
    if len(outputs) > 1 and "index" not in section:
        size = _size(outputs[index])
        work.guess("output", "index", index, f"the one of {len(outputs)} outputs that gives {size} scores with labels")
    return index


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:MOST_SHOWN]) + (", ..." if len(names) > MOST_SHOWN else "")


def _packed_files(metadata: Metadata, index: int, n_outputs: int, packed: Mapping[str, bytes]) -> tuple[LabelFile, ...]:
    """Return the packed label files that the metadata names for an output."""
    files = metadata.output(index).label_files
    if not files and n_outputs == 1:
        files = metadata.label_files
    return tuple(file for file in files if file.name in packed)


def _by_language(
    work: Work, files: Sequence[LabelFile], packed: Mapping[str, bytes], guesses: list[str] | None = None
) -> Labels:
    """Return the labels in English of several files of one output; else in the only language there is."""
    english = [file for file in files if file.locale.lower().replace("_", "-").split("-")[0] == "en"]
    one = (english or list(files))[0]
    if len(files) > 1:
        names = ", ".join(f"{file.name} ({file.locale or 'no language'})" for file in files)
        if not english:
            raise EdgeaudioError(f"{work.file}: has labels in {names}; say which with --labels NAME")
        if guesses is not None:
            guesses.append(f"labels: those in English, of {names}; else say --labels NAME")
    return read_labels(one.name, packed[one.name])


def _labels(work: Work, outputs: Sequence[Tensor], chosen: Sequence[int], packed: Mapping[str, bytes]) -> Labels:
    """Return the labels of the options, else those of the packed file with the right number."""
    if "labels" in work.table:
        return Labels(list(work.table["labels"]))
    if work.options.labels:
        return _user_labels(work.options.labels, packed)
    wanted = {_size(outputs[i]) for i in chosen} - {OPEN, 0}
    lists: dict[str, Labels] = {}
    for name, data in packed.items():
        try:
            lists[name] = read_labels(name, data)
        except EdgeaudioError:
            continue  # a picture, a licence in another encoding
    fitting = {name: labels for name, labels in lists.items() if len(labels.names) in wanted}
    named = {name: labels for name, labels in fitting.items() if "label" in name.lower()} or fitting
    if not named:
        counts = " or ".join(map(str, sorted(wanted))) or "them"
        found = "".join(f", but {name} with {len(labels.names)} lines" for name, labels in lists.items())
        raise EdgeaudioError(
            f"{work.file}: has no labels packed in it{found}; give {counts} with --labels FILE, one a line"
        )
    if len({tuple(labels.names) for labels in named.values()}) > 1:
        raise EdgeaudioError(f"{work.file}: has labels in {', '.join(named)}; say which with --labels NAME")
    return next(iter(named.values()))


def _user_labels(file: Path, packed: Mapping[str, bytes]) -> Labels:
    """Return the labels in a file of the user, or in a packed one of that name."""
    if str(file) in packed and not file.exists():
        data = packed[str(file)]
    else:
        try:
            data = read_file_or_pipe(file, MAX_BYTES)
        except OSError as error:
            raise EdgeaudioError(f"{file}: cannot be read: {error.strerror}") from None
    labels = read_labels(str(file), data)
    if not labels.names:
        raise EdgeaudioError(f"{file}: holds no labels; write one a line")
    return labels
