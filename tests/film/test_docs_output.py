"""docs/film-output.md says what the program does: its numbers are the code's."""

from __future__ import annotations

from pathlib import Path

from edgeaudio.film import disk_file, push_output
from edgeaudio.film.push_output import Limits
from edgeaudio.media import film_encoder, film_form
from edgeaudio.media.film_writer import CONTAINERS, DEFAULT_AUDIO

TEXT = " ".join((Path(__file__).parents[2] / "docs" / "film-output.md").read_text().split())


def test_the_limits_of_a_push():
    limits = Limits()
    assert (
        f"tries again after {limits.first_retry_s:g} s, doubling to {limits.last_retry_s:g} s, plus or minus a fifth"
        in TEXT
    )
    assert push_output._JITTER == 0.2
    assert f"does not take the stream within {limits.connect_s:g} s" in TEXT
    assert f"takes nothing for {limits.stalled_s:g} s" in TEXT
    assert f"what waits for longer than {limits.queue_s:g} s is dropped" in TEXT
    assert f"what waits is sent, for {limits.end_s:g} s at most" in TEXT


def test_the_limits_of_a_file():
    assert f"with {disk_file.BUFFER_BYTES >> 20} MB between them" in TEXT
    assert f"has taken nothing for {disk_file.STALLED_S:g} s" in TEXT
    assert film_encoder.LATE_S == 2.0
    assert "Sound may come two seconds later than its picture" in TEXT


def test_the_forms():
    assert f"up to {film_form.MAX_RATE_HZ // 1000} kHz and {film_form.MAX_CHANNELS['flac']} channels" in TEXT
    assert film_form.MAX_CHANNELS["aac"] == 2
    assert film_form.LIVE_RATES_HZ == (44_100, 48_000)
    assert {CONTAINERS[".mkv"]: "flac", CONTAINERS[".mp4"]: "aac"} == DEFAULT_AUDIO
