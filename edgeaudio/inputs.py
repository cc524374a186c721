"""Blocks from the bytes, arrays and Blocks of a caller.

Owns: sample formats and shapes, and every refusal of one.
Does not know: files, URLs, models, results.

Bytes and arrays are continuous sound: times count samples from the first one, so a generator that pauses delays the
result and leaves no hole. Sound with holes is passed as Blocks, with a new epoch after each hole.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeaudio.capture.config import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from edgeaudio.capture.samples import in_range
from edgeaudio.errors import EdgeaudioError
from edgeaudio.types import Block, Channel, Samples

# as text: before Python 3.12 array.array takes no parameters at run time
Piece: TypeAlias = "Block | bytes | bytearray | memoryview | array[int] | array[float] | NDArray[Any]"

SOURCE_NAME = "listen"
INT16_SCALE = 32768
MOST = 16.0  # a larger float sample has another scale; decoders overshoot by a few dB
PIECE_S = 1.0  # of a large array, so that no float32 copy of all of it is made


@dataclass(frozen=True, slots=True)
class Format:
    """Format of a caller's samples."""

    sample_rate: int
    channels: int | None  # interleaved in bytes and array.array; None: one, or the shape of an array
    channel: Channel  # which of them is heard

    @classmethod
    def of(cls, sample_rate: float, channels: float | None, channel: Channel) -> Format:
        """Return the format, with whole numbers of any type (16000.0). Raises EdgeaudioError if impossible."""
        rate, count = _whole(sample_rate), None if channels is None else _whole(channels)
        if rate is None or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise EdgeaudioError(
                f"sample_rate is {sample_rate!r}; whole numbers {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} are possible"
            )
        if channels is not None and (count is None or not 1 <= count <= MAX_CHANNELS):
            raise EdgeaudioError(f"channels is {channels!r}; whole numbers 1 to {MAX_CHANNELS} are possible")
        heard: Channel | None = channel if isinstance(channel, str) else _whole(channel)
        if heard is None or heard not in ("auto", "mix", *range(1, MAX_CHANNELS + 1)):
            raise EdgeaudioError(f'channel is {channel!r}; "auto", "mix" and 1 to {MAX_CHANNELS} are possible')
        return cls(rate, count, heard)


class Inlet:
    """Converter of a caller's pieces to Blocks, in order."""

    def __init__(self, form: Format, start: datetime | None) -> None:
        self._format = form
        self._start = start  # of the first sample; None: the time of its arrival
        self._n_channels = 0  # of the last piece; another number begins a new epoch
        self._epoch = -1
        self._begun = 0  # samples before the epoch
        self._offset = 0  # samples in it
        self._odd = b""  # half a sample
        self._rest: NDArray[Any] = np.empty(0, dtype=np.int16)  # part of a frame

    def feed(self, piece: Piece) -> Iterator[Block]:
        """Yield the Blocks of one piece. Raises EdgeaudioError for one that is no sound."""
        if isinstance(piece, Block):
            block = _checked_block(piece)
            self._check_channel(block.samples)
            yield block
            return
        frames = self._frames(piece)
        self._check_channel(frames)
        start = self._start = self._start or datetime.now(UTC)
        rate, n_channels = self._format.sample_rate, 1 if frames.ndim == 1 else frames.shape[1]
        if n_channels != self._n_channels:
            self._n_channels, self._epoch = n_channels, self._epoch + 1
            self._begun, self._offset = self._begun + self._offset, 0
        length = round(PIECE_S * rate)
        for first in range(0, len(frames), length):
            samples = _in_range(frames[first : first + length])
            at = start + timedelta(seconds=(self._begun + self._offset) / rate)
            yield Block(SOURCE_NAME, self._epoch, self._offset, at, rate, samples)
            self._offset += len(samples)

    def _frames(self, piece: Any) -> NDArray[Any]:  # noqa: ANN401 (a caller's generator may yield anything)
        """Return the whole frames of a piece, `(n,)` or `(n, channels)`, on its own scale."""
        if isinstance(piece, memoryview) and piece.itemsize > 1:
            piece = np.asarray(piece)
        if isinstance(piece, np.ndarray):
            return self._shaped(np.asarray(piece))
        if isinstance(piece, array):
            return self._interleaved(np.asarray(piece))
        if isinstance(piece, (bytes, bytearray, memoryview)):
            data = self._odd + bytes(piece)
            whole = len(data) - len(data) % 2
            self._odd = data[whole:]
            return self._interleaved(np.frombuffer(data[:whole], dtype="<i2"))
        raise EdgeaudioError(f"the source brought {type(piece).__name__}; Blocks, bytes and arrays are possible")

    def _interleaved(self, values: NDArray[Any]) -> NDArray[Any]:
        channels = self._format.channels or 1
        values = np.concatenate([self._rest.astype(values.dtype), values])
        whole = len(values) - len(values) % channels
        self._rest = values[whole:]
        return values[:whole] if channels == 1 else values[:whole].reshape(-1, channels)

    def _shaped(self, values: NDArray[Any]) -> NDArray[Any]:
        if not _is_shaped(values):
            raise EdgeaudioError(f"an array has the shape {values.shape}; (n,) and (n, channels) are possible")
        found = 1 if values.ndim == 1 else values.shape[1]
        if self._format.channels not in (None, found):
            raise EdgeaudioError(f"an array has the shape {values.shape}, and channels is {self._format.channels}")
        return values.reshape(-1) if found == 1 else values

    def _check_channel(self, samples: NDArray[Any]) -> None:
        found = 1 if samples.ndim == 1 else samples.shape[1]
        channel = self._format.channel
        if isinstance(channel, int) and channel > found:
            raise EdgeaudioError(f"channel {channel} is asked for, and the source has {found}")


def pieces_of(source: Piece | Iterable[Piece]) -> Iterator[Piece]:
    """Return the pieces of a source, which may be one array or Block. Raises EdgeaudioError for anything else."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        raise EdgeaudioError("bytes are given in an iterable, as [data]; a path is given as text")
    if isinstance(source, (Block, array, np.ndarray)):
        return iter((source,))
    try:
        return iter(source)
    except TypeError:
        raise EdgeaudioError(
            f"the source is {type(source).__name__}; a path, a URL, arrays, and iterables of bytes, arrays and Blocks "
            "are possible (alisten takes async ones)"
        ) from None


def _whole(value: float) -> int | None:
    try:
        return int(value) if int(value) == value else None
    except (TypeError, ValueError, OverflowError):
        return None


def _is_shaped(values: NDArray[Any]) -> bool:
    """True if the shape is `(n,)` or `(n, channels)`."""
    return values.ndim == 1 or (values.ndim == 2 and 1 <= values.shape[1] <= MAX_CHANNELS)


def _in_range(frames: NDArray[Any]) -> Samples:
    if frames.dtype.kind == "i" and frames.dtype.itemsize == 2:
        return frames.astype(np.float32) / np.float32(INT16_SCALE)
    if frames.dtype.kind != "f" or frames.dtype.itemsize not in (4, 8):
        raise EdgeaudioError(
            f"an array is of {frames.dtype}; int16, and float32 and float64 from -1 to 1, are possible"
        )
    peak = float(np.abs(frames).max(initial=0))
    if MOST < peak < np.inf:
        raise EdgeaudioError(f"an array of floats reaches {peak:g}; from -1 to 1 is possible: divide by its full scale")
    with np.errstate(over="ignore"):  # a value beyond float32 becomes inf, which `in_range` replaces
        return in_range(np.atleast_2d(frames.T).astype(np.float32))[0]


def _checked_block(block: Block) -> Block:
    """Return the Block with broken samples replaced, as in arrays. Raises EdgeaudioError for one that is no sound."""
    rate, epoch, offset = _whole(block.sample_rate), _whole(block.epoch), _whole(block.offset)
    if rate is None or not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise EdgeaudioError(f"the source brought a Block of {block.sample_rate} Hz, which is not possible")
    if epoch is None or offset is None:
        raise EdgeaudioError("the source brought a Block whose epoch or offset is no whole number")
    samples: Any = block.samples
    if not isinstance(samples, np.ndarray) or samples.dtype != np.float32 or not _is_shaped(samples):
        found = f"{samples.dtype} {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
        raise EdgeaudioError(f"the source brought a Block of {found}; float32 (n,) and (n, channels) are possible")
    if not isinstance(block.at, datetime):
        raise EdgeaudioError(f"the source brought a Block whose time is {type(block.at).__name__}, and no datetime")
    if block.at.tzinfo is None:
        raise EdgeaudioError("the source brought a Block whose time has no zone; give it one, such as UTC")
    return replace(block, epoch=epoch, offset=offset, sample_rate=rate, samples=_in_range(samples))
