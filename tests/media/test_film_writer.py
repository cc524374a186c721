"""Films in files: a click and a flash that belong together stay together, whatever the form, and after a gap."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import av
import numpy as np
import pytest
from support.film_clicks import feed, planes_of, second_of_sound, seen_in

from edgeaudio.media.film_encoder import FilmEncoder
from edgeaudio.media.film_form import FilmFormat, FilmWriterError, PictureForm, SoundForm
from edgeaudio.media.film_writer import FilmWriter

TOGETHER_S = 0.005  # the promise is 0.02, of which this needs nothing
FORM = FilmFormat(160, 96, 15, 48_000, 1)


class Memory(io.BytesIO):
    error: OSError | None = None


class Full(Memory):
    """A disk that is full after so many bytes."""

    def write(self, data: object) -> int:
        if self.tell() > 20_000:
            self.error = OSError(28, "No space left on device")
            raise self.error
        return super().write(data)  # type: ignore[arg-type]


def store(path: Path, sink: io.BytesIO, form: FilmFormat = FORM) -> Path:
    path.write_bytes(sink.getvalue())
    return path


@pytest.mark.parametrize(
    ("container", "audio", "rate", "channels"),
    [
        ("matroska", "flac", 48_000, 1),
        ("matroska", "flac", 192_000, 6),
        ("matroska", "aac", 192_000, 3),
        ("matroska", "aac", 37_123, 1),
        ("mp4", "aac", 44_100, 2),
        ("mp4", "aac", 8_000, 1),
        ("mp4", "flac", 16_000, 2),
    ],
)
def test_clicks_and_flashes_are_together_and_at_their_times_also_after_a_gap(
    tmp_path, container, audio, rate, channels
):
    form = FilmFormat(160, 96, 15, rate, channels)
    sink = Memory()
    writer = FilmWriter(sink, container, form, SoundForm.of(audio, form))
    feed(writer, form, [0, 1, 5])
    writer.close()
    seen = seen_in(store(tmp_path / "film", sink))
    assert seen.flashes == pytest.approx([0.0, 1.0, 5.0], abs=0.002)
    assert max(map(abs, seen.apart_s())) < TOGETHER_S
    assert len(seen.clicks) == 3
    assert seen.pictures == 45
    assert seen.sound_s == pytest.approx(6.0, abs=0.15)


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_a_film_that_was_cut_off_plays_up_to_there(tmp_path, container):
    sink = Memory()
    writer = FilmWriter(sink, container, FORM, SoundForm.of("aac", FORM))
    feed(writer, FORM, range(6))
    whole = len(sink.getvalue())
    writer.abort()
    (tmp_path / "film").write_bytes(sink.getvalue()[: whole - 100])
    seen = seen_in(tmp_path / "film")
    assert len(seen.flashes) >= 4
    assert max(map(abs, seen.apart_s())) < TOGETHER_S


def test_flac_holds_every_sample_of_sixteen_bits(tmp_path):
    form = FilmFormat(160, 96, 15, 96_000, 2)
    sound = np.random.default_rng(0).integers(-32_768, 32_767, (48_000, 2)).astype(np.float32) / np.float32(32_768)
    sink = Memory()
    writer = FilmWriter(sink, "matroska", form, SoundForm.of("flac", form))
    for begin in range(0, len(sound), 7_001):
        writer.sound(begin, sound[begin : begin + 7_001])
    writer.picture(0, planes_of(form, bright=False))
    writer.close()
    with av.open(str(store(tmp_path / "film.mkv", sink))) as film:
        found = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in film.decode(audio=0)])
    assert np.array_equal(found / (1 << 31), sound)


def test_the_last_picture_stands_where_numbers_skip_and_none_is_shown_twice(tmp_path):
    sink = Memory()
    writer = FilmWriter(sink, "matroska", FORM, SoundForm.of("flac", FORM))
    for number in (0, 1, 1, 0, 30, 59):
        writer.picture(number, planes_of(FORM, bright=number % 2 == 0))
    writer.close()
    seen = seen_in(store(tmp_path / "film.mkv", sink))
    assert seen.pictures == 4
    assert seen.flashes == pytest.approx([0.0, 2.0], abs=0.002)
    assert seen.sound_s == pytest.approx(4.0, abs=0.1)


def test_sound_that_is_missing_is_silence_and_what_comes_too_late_is_counted():
    encoder = FilmEncoder(FORM, SoundForm.of("flac", FORM))
    for number in range(5 * FORM.frame_rate):
        encoder.picture(number, planes_of(FORM, bright=False))
    # a player waits for the sound of a picture, but not for ever
    assert encoder.silent_samples >= FORM.sample_rate
    before = encoder.silent_samples
    encoder.sound(0, second_of_sound(FORM))
    assert (encoder.late_samples, encoder.silent_samples) == (FORM.sample_rate, before)
    encoder.sound(before - 100, second_of_sound(FORM))
    assert encoder.late_samples == FORM.sample_rate + 100


def test_planes_and_samples_may_be_used_again_at_once(tmp_path):
    sink = Memory()
    writer = FilmWriter(sink, "matroska", FORM, SoundForm.of("flac", FORM))
    planes = planes_of(FORM, bright=True)
    sound = second_of_sound(FORM)
    writer.sound(0, sound)
    writer.picture(0, planes)
    sound[:], planes[0][:] = 0, 16
    for number in range(1, 15):
        writer.picture(number, planes)
    writer.close()
    seen = seen_in(store(tmp_path / "film.mkv", sink))
    assert (len(seen.clicks), len(seen.flashes)) == (1, 1)


def test_the_colours_are_said_and_the_picture_is_as_it_came(tmp_path):
    sink = Memory()
    writer = FilmWriter(sink, "mp4", FORM, SoundForm.of("aac", FORM))
    planes = planes_of(FORM, bright=False)
    writer.picture(0, planes)
    writer.close()
    with av.open(str(store(tmp_path / "film.mp4", sink))) as film:
        context = film.streams.video[0].codec_context
        frame = next(film.decode(video=0))
        assert (context.name, context.width, context.height) == ("h264", 160, 96)
        assert (int(context.colorspace), int(context.color_range)) == (1, 1)  # BT.709, limited
    assert np.abs(frame.to_ndarray()[:96].astype(int) - planes[0]).mean() < 2


def test_where_x264_is_missing_the_next_encoder_is_used_and_said(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    sink = Memory()
    writer = FilmWriter(sink, "matroska", FORM, SoundForm.of("flac", FORM), encoders=("no-x264", "mpeg4"))
    assert writer.encoder.codec == "mpeg4"
    assert "the picture is encoded by mpeg4, for this build of FFmpeg lacks: no-x264" in caplog.text
    feed(writer, FORM, range(2))
    writer.close()
    assert max(map(abs, seen_in(store(tmp_path / "film", sink)).apart_s())) < TOGETHER_S


def test_a_build_without_any_encoder_is_refused_in_a_line():
    with pytest.raises(FilmWriterError, match=r"cannot encode the film's picture \(no-x264: .*\); install a build"):
        FilmEncoder(FORM, SoundForm.of("aac", FORM), encoders=("no-x264",))


def test_a_full_disk_raises_its_own_error_and_what_was_written_plays(tmp_path):
    sink = Full()
    writer = FilmWriter(sink, "matroska", FORM, SoundForm.of("flac", FORM))
    with pytest.raises(OSError, match="No space left"):
        feed(writer, FORM, range(60))
    writer.abort()
    seen = seen_in(store(tmp_path / "film.mkv", sink))
    assert len(seen.flashes) >= 2
    assert max(map(abs, seen.apart_s())) < TOGETHER_S


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ((161, 96, 15, 48_000, 1), "even numbers"),
        ((160, 8, 15, 48_000, 1), "a side has 16 to 4096"),
        ((8192, 96, 15, 48_000, 1), "4096x2304"),
        ((160, 96, 0, 48_000, 1), "15 to 60"),
        ((160, 96, 15, 1_000_000, 1), "1000000 Hz"),
        ((160, 96, 15, 48_000, 0), "one at least"),
    ],
)
def test_a_form_that_no_encoder_takes_is_refused(values, words):
    with pytest.raises(FilmWriterError, match=words):
        FilmFormat(*values)


def test_a_bit_rate_out_of_all_bounds_is_refused():
    with pytest.raises(FilmWriterError, match="choose 50000"):
        PictureForm(bit_rate=1000)


def test_what_a_form_leaves_out_is_said():
    form = FilmFormat(160, 96, 15, 192_000, 4)
    assert SoundForm.of("aac", form).losses(form) == (
        "sound above 24 kHz is left out and the 4 channels are heard as their mean"
    )
    assert SoundForm.of("flac", form).losses(form) == ""


def test_a_bit_rate_is_held():
    sizes = []
    noise = np.random.default_rng(0)
    for bit_rate in (200_000, 1_000_000):
        sink = Memory()
        writer = FilmWriter(sink, "matroska", FORM, SoundForm.of("flac", FORM), PictureForm(bit_rate, bit_rate))
        for number in range(60):
            _, u, v = planes_of(FORM, bright=False)
            writer.picture(number, (noise.integers(16, 235, (96, 160), dtype=np.uint8), u, v))
        writer.close()
        sizes.append(len(sink.getvalue()) * 8 / 4)
    assert sizes == [pytest.approx(200_000, rel=0.35), pytest.approx(1_000_000, rel=0.35)]
