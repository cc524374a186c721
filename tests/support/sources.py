"""Reading a source in a test, and measuring the sound."""

import itertools
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.connection import Connection, open_source
from edgeaudio.capture.opening import SourceMemory
from edgeaudio.capture.reblock import STORED
from edgeaudio.capture.rtsp_setup import MediaSetting
from edgeaudio.types import Block, Samples

MEDIA_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Heard:
    """Blocks and end of one connection."""

    connection: Connection
    blocks: list[Block]
    seconds: float = 0.0

    @property
    def samples(self) -> Samples:
        """Of all blocks, which must have the same number of channels."""
        return np.concatenate([block.samples for block in self.blocks])

    @property
    def epochs(self) -> list[int]:
        return sorted({block.epoch for block in self.blocks})


def hear(
    url: str,
    seconds: float = float("inf"),
    *,
    media: bool = False,
    memory: SourceMemory | None = None,
    stop: threading.Event | None = None,
    asked: MediaSetting = "auto",
    **config: Any,
) -> Heard:
    """Blocks of `url` for `seconds`, or to its end; `media`: as fast as it goes; `asked`: the setting `media`."""
    start = MEDIA_START if media else None
    settings = SourceConfig(name="test", url=url, media=asked, **config)
    with open_source(settings, stop or threading.Event(), memory=memory, media_start=start) as connection:
        heard = Heard(connection, [])
        for block in connection:
            heard.blocks.append(block)
            heard.seconds += block.duration_s
            if heard.seconds >= seconds:
                break
    assert_sound(heard.blocks)
    return heard


def assert_sound(blocks: list[Block]) -> None:
    """Assert what holds for every Block of one source."""
    expected: dict[int, int] = {}
    for block in blocks:
        assert block.samples.dtype == np.float32
        assert not block.samples.flags.writeable
        assert block.samples.ndim == 1 or block.samples.shape[1] > 1
        assert 0 < block.duration_s <= STORED.max_s
        assert np.abs(block.samples).max() <= 1
        assert block.offset == expected.get(block.epoch, 0), "a hole within an epoch"
        expected[block.epoch] = block.offset + len(block.samples)
    for before, after in itertools.pairwise(blocks):
        assert after.epoch >= before.epoch
        assert after.at >= before.at


def pitch_hz(samples: Samples, rate: int) -> float:
    """The strongest frequency of samples `(n,)`, or of the first channel, to about 1 Hz for a second of sound."""
    samples = samples.reshape(len(samples), -1)[:, 0]
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=8 * len(samples)))
    return float(np.argmax(spectrum) * rate / (8 * len(samples)))


def purity(samples: Samples) -> float:
    """Share of the energy near the strongest frequency of the first channel: about 1 for an unbroken sine."""
    samples = samples.reshape(len(samples), -1)[:, 0]
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    peak = int(np.argmax(power))
    return float(power[max(0, peak - 4) : peak + 5].sum() / power.sum())
