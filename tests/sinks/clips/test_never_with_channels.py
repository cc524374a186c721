"""`never_with` where a source has several channels: a clip holds what was judged, and nothing of the other channels."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np
import pytest
from support.clip_studio import LOUD, SPEECH, Listener, Studio, clips_in, config, quiet
from support.sound_files import decoded

from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.types import Block, Channel, Samples

RATE = 8000
MODEL = Listener("ears", ClipSection(sample_rate=8000, n_samples=3200, period_ms=100), (LOUD, SPEECH), hold_s=0.2)
SPOKEN = np.float32(0.05)  # a mean that the model takes for speech
BANG = 8 * RATE


def both(*, is_spoken: bool) -> Samples:
    """Two channels with a bang; if so, there is speech on the second."""
    sound = quiet(20 * RATE, 2)
    sound[BANG : BANG + 2000] *= 100
    sound[:, 1] += SPOKEN * is_spoken
    return sound


def clips_of(folder: Path, channel: Channel, sound: Samples, *, never: bool = True) -> list[Samples]:
    """Play a sound, of which that channel is to be heard; return the clips' sound."""
    sink = ClipsSink(config(folder, never_with={SPEECH: 0.2} if never else {}))
    sink.open()
    studio = Studio(sink, [MODEL])
    studio.load([MODEL], channel)
    studio.connect()
    studio.play(sound, RATE)
    studio.disconnect()
    sink.close()
    return [decoded(clip.sound)[0] for clip in clips_in(folder)]


def test_a_channel_that_no_model_judged_is_in_no_clip(tmp_path: Path) -> None:
    sound = both(is_spoken=True)
    (kept,) = clips_of(tmp_path, 1, sound)
    first = BANG - 3 * RATE - 1200
    assert kept.shape[1] == 1
    at = next(n for n in range(first, BANG) if np.array_equal(sound[n : n + 100, 0], kept[:100, 0]))
    assert np.array_equal(kept[:, 0], sound[at : at + len(kept), 0])
    assert len(kept) > 5 * RATE


def test_without_never_with_all_channels_are_kept(tmp_path: Path) -> None:
    (kept,) = clips_of(tmp_path, 1, both(is_spoken=True), never=False)
    assert kept.shape[1] == 2


def test_of_a_mean_that_is_judged_the_mean_is_kept(tmp_path: Path) -> None:
    sound = both(is_spoken=False)
    (kept,) = clips_of(tmp_path, "auto", sound)
    assert kept.shape[1] == 1
    assert np.abs(kept).max() == pytest.approx(np.abs(sound.mean(axis=1)).max(), rel=0.01)


class Lagging:
    """A sink to which the results of recognition come late."""

    def __init__(self, sink: ClipsSink, lag_s: float) -> None:
        self._sink = sink
        self._lag_s = lag_s
        self._played_s = 0.0
        self._waiting: deque[tuple[float, object]] = deque()

    def handle(self, item: object) -> None:
        if isinstance(item, Block):
            self._played_s += item.duration_s
            self._sink.handle(item)
        else:
            self._waiting.append((self._played_s + self._lag_s, item))
        while self._waiting and self._waiting[0][0] <= self._played_s:
            self._sink.handle(self._waiting.popleft()[1])

    def tick(self) -> None:
        self._sink.tick()


def test_where_channels_begin_to_cancel_a_clip_ends_with_what_was_judged(tmp_path: Path) -> None:
    # from the end of that second on the first channel is heard alone, and speech is on the other
    sound = both(is_spoken=False)
    hum = (0.02 * np.sin(2 * np.pi * 300 * np.arange(len(sound)) / RATE)).astype(np.float32)
    cancel = BANG + RATE
    sound[cancel:] = np.stack([hum, np.float32(-0.98) * hum], axis=1)[cancel:]
    sound[cancel + RATE + 400 :, 1] += SPOKEN
    sink = ClipsSink(config(tmp_path, never_with={SPEECH: 0.2}))
    sink.open()
    studio = Studio(Lagging(sink, 2.0), [MODEL])
    studio.connect()
    studio.play(sound, RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    kept = decoded(clip.sound)[0][:, 0]
    assert cancel < clip.record.origin.first + len(kept) <= cancel + RATE
    pieces = np.array_split(kept, 10 * len(kept) // RATE)
    assert max(piece.mean() for piece in pieces) < SPOKEN / 10
