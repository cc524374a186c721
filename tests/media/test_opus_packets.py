"""Packets of Opus: decoded again, the sound is where it was, and as long."""

from __future__ import annotations

import numpy as np
import pytest
from support.opus import RATE, decoded

from edgeaudio.media.opus_packets import BIT_RATE, PACKET_SAMPLES, OpusEncoder
from edgeaudio.media.writer import AudioWriterError
from edgeaudio.types import Samples


def encoded(sound: Samples, rate: int, piece: int) -> tuple[list[bytes], int, int]:
    """Return packets, samples, and the pre-skip."""
    encoder = OpusEncoder(rate)
    made = [encoder.feed(sound[begin : begin + piece]) for begin in range(0, len(sound), piece)]
    made.append(encoder.flush())
    return [packet for each in made for packet in each.packets], sum(each.count for each in made), encoder.pre_skip


def tone(rate: int, seconds: float, volume: float = 0.3) -> Samples:
    return (volume * np.sin(2 * np.pi * 700 * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100, 48_000, 192_000])
def test_a_click_is_where_it_was_and_the_sound_as_long(rate: int) -> None:
    sound = tone(rate, 1.7, volume=0.003)
    clicks_s = [0.0, 0.31, 1.0, 1.69]
    for at_s in clicks_s:
        sound[round(at_s * rate) :][: rate // 500] += 0.5
    packets, count, pre_skip = encoded(sound, rate, rate // 5)
    assert count == pre_skip + len(sound) * RATE // rate
    found = decoded(packets)[pre_skip:count]
    for at_s in clicks_s:
        begin = max(0, round((at_s - 0.05) * RATE))
        loudest = begin + int(np.abs(found[begin : begin + RATE // 10]).argmax())
        assert abs(loudest / RATE - at_s) < 0.003


def test_the_bit_rate_is_held_for_any_sound() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, 5 * RATE).astype(np.float32)
    for sound in (noise, tone(RATE, 5), np.zeros(5 * RATE, np.float32)):
        packets, _, _ = encoded(sound, RATE, RATE // 5)
        assert sum(map(len, packets)) / 5 < 1.1 * BIT_RATE / 8
        assert len(packets) == 5 * RATE // PACKET_SAMPLES + 1


def test_sound_beyond_full_scale_is_clipped_and_less_than_a_packet_is_not_lost() -> None:
    packets, count, pre_skip = encoded(np.full(100, 3.0, np.float32), RATE, 100)
    assert (len(packets), count) == (1, pre_skip + 100)


def test_nothing_is_nothing() -> None:
    assert OpusEncoder(RATE).flush().packets == ()


def test_an_ffmpeg_without_opus_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.media.opus_packets.CODEC", "libopus of another build")
    with pytest.raises(AudioWriterError, match="this FFmpeg cannot encode Opus"):
        OpusEncoder(RATE)
