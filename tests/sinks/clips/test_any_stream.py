"""Whatever a stream does, a clip holds consecutive sound that came, and its record says where, and what is missing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.clip_studio import SPEECH, Listener, Studio, clips_in, config, quiet
from support.examples import examples
from support.sound_files import decoded

from edgeaudio.clips.library import Clip
from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.sinks.clips import source_clips
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.types import Block

pytestmark = pytest.mark.integration

SHORT = ClipSection(sample_rate=4000, n_samples=1200, period_ms=70)
LONG = ClipSection(sample_rate=8000, n_samples=16_000, period_ms=500)
BLOCK = 1000

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.integers(1, 60)),  # Blocks
        st.tuples(st.just("bang"), st.integers(1, 20)),
        st.tuples(st.just("speak"), st.integers(1, 4)),
        st.tuples(st.just("reconnect"), st.sampled_from([0.0, 0.3, 2.5, 100.0])),
        st.tuples(st.just("lose"), st.integers(1, 5)),  # Blocks, which the sink does not get
        st.tuples(st.just("rate"), st.sampled_from([8000, 16_000])),
        st.tuples(st.just("wait"), st.just(0)),
    ),
    min_size=3,
    max_size=14,
)


class Lossy:
    """Passes items to the sink, and remembers the Blocks."""

    def __init__(self, sink: ClipsSink) -> None:
        self.tick = sink.tick
        self.blocks: list[Block] = []
        self.is_losing = False
        self._sink = sink

    def handle(self, item: object) -> None:
        if isinstance(item, Block):
            if self.is_losing:
                return
            self.blocks.append(item)
        self._sink.handle(item)


def perform(studio: Studio, lossy: Lossy, steps: list[tuple[str, float]]) -> None:
    rate = 8000
    studio.connect()
    for number, (step, value) in enumerate(steps):
        sound = quiet(round(value) * BLOCK if step in ("play", "bang", "speak", "lose") else 0, seed=number)
        if step == "bang":
            sound *= 100
        if step == "speak":
            sound += np.float32(2.0**-5)
        if step == "reconnect":
            studio.connect(after_s=value)
        if step == "rate" and value != rate:
            rate = int(value)
            studio.connect()
        if step == "wait":
            studio.disconnect()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(source_clips, "WAIT_S", -1.0)
                lossy.tick()
            studio.connect(after_s=20.0)
        lossy.is_losing = step == "lose"
        studio.play(sound, rate, block=BLOCK)
        lossy.is_losing = False
    studio.disconnect()


def check(clip: Clip, blocks: list[Block]) -> None:
    record = clip.record
    first = next(
        index
        for index, block in enumerate(blocks)
        if block.epoch == record.origin.epoch and 0 <= record.origin.first - block.offset < len(block.samples)
    )
    skipped = record.origin.first - blocks[first].offset
    expected, gaps, n = [], {}, -skipped
    for index in range(first, len(blocks)):
        before, block = blocks[index - 1], blocks[index]
        if n >= record.sound.count:
            break
        assert block.sample_rate == record.origin.sample_rate
        follows = block.epoch == before.epoch and block.offset == before.offset + len(before.samples)
        if n > 0 and not follows:
            gaps[n] = (block.at - before.at).total_seconds() - before.duration_s
        expected.append(block.samples)
        n += len(block.samples)
    found, _ = decoded(clip.sound)
    assert len(found) == record.sound.count
    assert np.array_equal(found[:, 0], np.concatenate(expected)[skipped : skipped + len(found)])
    assert {gap.at: gap.lost_s for gap in record.gaps} == pytest.approx(gaps, abs=1e-5)
    onset, offset, rate = record.sound.onset, record.sound.offset, record.origin.sample_rate
    assert 0 <= onset < record.sound.count <= 12 * rate
    lost_s = sum(gap.lost_s for gap in record.gaps if gap.at <= onset)
    assert record.before.got_s == onset / rate <= record.before.asked_s - lost_s + 1 / rate
    if offset is not None:
        assert onset <= offset <= record.sound.count
        lost_s = sum(gap.lost_s for gap in record.gaps if gap.at >= offset)
        assert record.after.got_s == (record.sound.count - offset) / rate <= record.after.asked_s - lost_s + 1 / rate


@settings(max_examples=examples(80))
@given(steps=STEPS, never_with=st.booleans())
def test_clips_of_any_stream_hold_what_their_records_say(steps, never_with):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        forbidden = {SPEECH: 0.5} if never_with else {}
        sink = ClipsSink(config(folder, longest_s=12.0, never_with=forbidden))
        sink.open()
        lossy = Lossy(sink)
        models = [Listener("short", SHORT, hold_s=0.2), Listener("long", LONG, votes=2, votes_of=3, hold_s=1.5)]
        studio = Studio(lossy, models)
        perform(studio, lossy, steps)
        sink.close()
        clips = clips_in(folder)
        for clip in clips:
            check(clip, lossy.blocks)
            if never_with:
                assert not spoken(clip)
        onsets = [event for event in studio.events if event.kind == "onset" and event.label == "first"]
        assert len(onsets) == sink.written + sink.lost + sink.withheld.total()
        assert len(clips) == sink.written
        if not never_with:
            assert sink.withheld.total() == 0


def spoken(clip: Clip) -> bool:
    """True if any half second of a clip is speech."""
    found, rate = decoded(clip.sound)
    pieces = np.array_split(found[:, 0], max(1, 2 * len(found) // rate))
    return any(piece.mean() > 2.0**-6 for piece in pieces)
