"""Pictures of clips: beside their sound, named in the record, and never more than the clip."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.clip_studio import LOUD, SPEECH, Listener, Studio, clips_in, config, limits, quiet

from edgeaudio.pictures.drawing import Layout, Mark
from edgeaudio.pictures.frequency_axis import FrequencyAxis
from edgeaudio.pictures.options import MESSAGE_BYTES, PictureError
from edgeaudio.pictures.picture import Picture
from edgeaudio.recognise.manifest import ClipSection
from edgeaudio.sinks.clips import clip_picture
from edgeaudio.sinks.clips.clip_picture import ClipPicture
from edgeaudio.sinks.clips.sink import ClipsSink
from edgeaudio.types import ClipReady, Samples

RATE = 8000
CLIP = ClipSection(sample_rate=4000, n_samples=1200, period_ms=70)
BANG = 8 * RATE


def bang(n_s: int = 16) -> Samples:
    sound = quiet(n_s * RATE)
    sound[BANG : BANG + 4000] *= 100
    return sound


def studio(folder: Path, image_format: Any = "jpeg", **changes: Any) -> tuple[ClipsSink, Studio, list[ClipReady]]:
    sink = ClipsSink(config(folder, make_picture=partial(ClipPicture, image_format), **changes))
    ready: list[ClipReady] = []
    sink.publish = ready.append  # type: ignore[assignment]  # it is sent nothing else
    sink.open()
    found = Studio(sink, [Listener("bangs", CLIP, hold_s=0.2)])
    found.connect()
    return sink, found, ready


@pytest.mark.parametrize(("image_format", "suffix"), [("jpeg", "jpg"), ("webp", "webp"), ("png", "png")])
def test_a_picture_lies_beside_its_clip_and_is_named_in_the_record(tmp_path, image_format, suffix):
    sink, playing, ready = studio(tmp_path, image_format)
    playing.play(bang(), RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    assert clip.picture == clip.file.with_suffix(f".{suffix}")
    assert oct(clip.picture.stat().st_mode & 0o777) == "0o600"
    content = clip.picture.read_bytes()
    assert len(content) <= MESSAGE_BYTES
    with Image.open(BytesIO(content)) as image:
        assert image.format == image_format.upper()
        # noise in PNG is over the limit, and drawn smaller
        assert image.size == ((768, 384) if image_format == "png" else (960, 480))
        layout = Layout(*image.size, "magma", FrequencyAxis("linear", RATE / 2), [Mark("first", 3.0, 4.0)])
        plot = layout.x / image.width, (layout.x + layout.width - 1) / image.width
    record = clip.record
    what = record.id, "porch", LOUD, record.score, "bangs", record.onset
    assert ready == [ClipReady(*what, clip.sound, "wav", clip.picture, plot)]


class Recorded(Picture):
    """Stands for a picture, and keeps what is drawn."""

    all: list[Recorded]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.pieces: list[tuple[float, Samples]] = []
        self.marks: Any = None
        Recorded.all.append(self)

    def add(self, samples: Samples, sample_rate: int, at_s: float) -> None:
        self.pieces.append((at_s, samples.copy()))
        super().add(samples, sample_rate, at_s)

    def encoded(self, **options: Any) -> bytes:
        self.marks = options["marks"]
        return super().encoded(**options)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> type[Recorded]:
    Recorded.all = []
    monkeypatch.setattr(clip_picture, "Picture", Recorded)
    return Recorded


def test_the_picture_has_the_samples_of_the_clip_with_its_gap_and_its_event(tmp_path, recorded):
    sink, playing, ready = studio(tmp_path)
    sound = bang()
    playing.play(sound[: BANG + 2000], RATE, block=160)
    playing.connect(after_s=1.5)
    playing.play(sound[BANG + 2000 :], RATE, block=4321)
    sink.close()
    for clip, picture in zip(clips_in(tmp_path), recorded.all, strict=True):
        record = clip.record
        assert sum(len(piece) for _, piece in picture.pieces) == record.sound.count
        lost_s = 0.0
        position = 0
        for at_s, piece in picture.pieces:
            lost_s = sum(gap.lost_s for gap in record.gaps if gap.at <= position)
            assert at_s == pytest.approx(position / RATE + lost_s)
            position += len(piece)
        (mark,) = picture.marks
        assert mark.label == LOUD
        assert mark.begin_s == pytest.approx((record.onset - record.begin).total_seconds(), abs=1e-3)
        assert record.end is not None
        assert mark.end_s == pytest.approx((record.end - record.begin).total_seconds(), abs=1e-3)
    assert sum(len(clip.record.gaps) for clip in clips_in(tmp_path)) >= 1
    has_gaps = {clip.record.id: bool(clip.record.gaps) for clip in clips_in(tmp_path)}
    assert {each.id: each.plot is None for each in ready} == has_gaps  # with them, times of both files differ


def test_a_clip_that_may_not_be_kept_leaves_no_picture(tmp_path):
    sink = ClipsSink(config(tmp_path, make_picture=partial(ClipPicture, "jpeg"), never_with={SPEECH: 0.2}))
    ready: list[object] = []
    sink.publish = ready.append
    sink.open()
    playing = Studio(sink, [Listener("bangs", CLIP, hold_s=0.2)])
    playing.connect()
    sound = bang()
    sound[BANG - 8000 : BANG - 7000] += 0.05
    playing.play(sound, RATE)
    sink.close()
    assert (sink.withheld["porch"], ready) == (1, [])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_picture_that_cannot_be_drawn_costs_no_clip(tmp_path, monkeypatch, caplog):
    def fail(*_: object) -> None:
        raise PictureError("a sample rate of 8000 Hz: too low")

    monkeypatch.setattr(Picture, "add", fail)
    sink, playing, ready = studio(tmp_path)
    playing.play(bang(), RATE)
    sink.close()
    (clip,) = clips_in(tmp_path)
    assert (clip.record.picture, clip.picture, ready[0].picture) == (None, None, None)
    assert "has no picture: a sample rate of 8000 Hz: too low" in caplog.text


@pytest.mark.parametrize("moved", [1, 2])
def test_a_clip_that_was_moved_in_part_is_completed_at_the_next_start(tmp_path, monkeypatch, moved):
    """As after a kill between the moves of sound, picture and record."""
    real, count = Path.replace, 0

    def replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += 1
        if count > moved:
            raise KeyboardInterrupt
        return real(self, target)

    sink, playing, _ = studio(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            playing.play(bang(), RATE)
    sink._folder.close()
    again = ClipsSink(config(tmp_path))
    again.open()
    again.close()
    (clip,) = clips_in(tmp_path)
    assert clip.picture is not None
    assert clip.picture.stat().st_size > 1000
    assert np.all([file.exists() for file in clip.files])


def test_pictures_go_with_their_clips(tmp_path):
    sink, playing, _ = studio(tmp_path)
    playing.play(bang(), RATE)
    (clip,) = clips_in(tmp_path)
    assert clip.picture is not None
    sink._retention._limits = limits(max_bytes=1)
    sink._retention.run(10)
    sink.close()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
