"""`edgeaudio archive export --format clips`: the best of each label, cut from the recordings."""

from __future__ import annotations

import csv
from datetime import timedelta

import av
import numpy as np
import pytest
from support.archive_results import BEGIN, Heard, contents, put_result
from support.wave_files import write_wave

RATE = 8000


@pytest.fixture
def to(tmp_path):
    return tmp_path / "to-judge"


@pytest.fixture
def recordings(tmp_path):
    folder = tmp_path / "recordings"
    (folder / "jetty").mkdir(parents=True)
    return folder


def steps(length_s: int) -> np.ndarray:
    """Sound whose value says in which second it is."""
    return np.repeat(np.arange(length_s) / 1000, RATE)


def decoded(file) -> np.ndarray:
    with av.open(str(file)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    samples = np.concatenate(frames, axis=1)[0]
    return np.asarray(samples / (1 << 31) if samples.dtype == np.int32 else samples)


def rows(to):
    return list(csv.DictReader((to / "best.csv").read_text().splitlines()))


def test_the_best_of_each_label_are_cut_with_a_second_around_them(place, out, to, recordings, archive) -> None:
    write_wave(recordings / "jetty" / "a.wav", steps(60), RATE)
    heard = [Heard("dog", 20, 2, 0.6), Heard("dog", 40, 2, 0.9), Heard("dog", 50, 2, 0.5), Heard("orca", 0.5, 1, 0.7)]
    heard.append(Heard("seal", -3, 5))  # it began in the recording before
    put_result(place, "jetty/a.wav", BEGIN, heard, duration_s=60)
    options = ("--format", "clips", "--best", 2, "--recordings", recordings, "--to", to)
    assert archive("export", out, *options) == (0, [f"{to}: 4 clips"], [])
    assert [(row["file"], row["label"], row["rank"], row["begins_in_clip_s"], row["verdict"]) for row in rows(to)] == [
        ("dog/0001_0.900_a_40.0s.flac", "dog", "1", "1.000", ""),
        ("dog/0002_0.600_a_20.0s.flac", "dog", "2", "1.000", ""),
        ("orca/0001_0.700_a_0.5s.flac", "orca", "1", "0.500", ""),
        ("seal/0001_0.900_a_-3.0s.flac", "seal", "1", "0.000", ""),
    ]
    sound = decoded(to / "dog" / "0001_0.900_a_40.0s.flac")
    assert len(sound) == 4 * RATE
    assert np.allclose(sound, steps(60)[39 * RATE : 43 * RATE], atol=2e-4)
    assert len(decoded(to / "orca" / "0001_0.700_a_0.5s.flac")) == 2.5 * RATE


def test_wav_is_written_where_it_is_wanted_and_long_events_are_cut(place, out, to, recordings, archive) -> None:
    write_wave(recordings / "a.wav", steps(50), RATE)
    put_result(place, "a.wav", BEGIN, [Heard("ship", 10, 40)], duration_s=50)
    archive("export", out, "--format", "clips", "--sound", "wav", "--recordings", recordings, "--to", to)
    (file,) = to.glob("ship/*.wav")
    assert len(decoded(file)) == 32 * RATE  # 30 s of it, and 1 s on both sides


def test_a_recording_that_is_missing_or_bad_costs_only_its_own_clips(place, out, to, recordings, archive) -> None:
    write_wave(recordings / "a.wav", steps(10), RATE)
    write_wave(recordings / "short.wav", steps(3), RATE)
    (recordings / "bad.wav").write_bytes(b"RIFF no sound")
    (recordings / "link.wav").symlink_to("/etc/hostname")
    for index, name in enumerate(("a.wav", "bad.wav", "gone.wav", "link.wav", "short.wav", "../escaped.wav")):
        put_result(place, name, BEGIN + timedelta(hours=index), [Heard("dog", 1), Heard("dog", 5)], duration_s=10)
    write_wave(recordings.parent / "escaped.wav", steps(10), RATE)
    status, lines, errors = archive("export", out, "--format", "clips", "--recordings", recordings, "--to", to)
    assert (status, lines) == (1, [f"{to}: 3 clips; 5 left out"])
    # FFmpeg may have something to say of the bad one, once in a while
    named = [error.split(": ")[1].rpartition("/")[2] for error in errors if error.startswith("edgeaudio: ")]
    assert sorted(named) == ["bad.wav", "escaped.wav", "gone.wav", "link.wav", "short.wav"], errors
    assert [row["recording"] for row in rows(to)] == ["a.wav", "a.wav", "short.wav"]
    assert not [name for name in contents(to) if ".part" in name]


def test_nothing_is_replaced_without_being_asked(place, out, to, recordings, archive) -> None:
    write_wave(recordings / "a.wav", steps(10), RATE)
    put_result(place, "a.wav", BEGIN, [Heard("dog", 1)], duration_s=10)
    options = ("--format", "clips", "--recordings", recordings, "--to", to)
    archive("export", out, *options)
    before = contents(to)
    status, _, errors = archive("export", out, *options)
    assert (status, len(errors)) == (2, 1)
    assert contents(to) == before
    assert archive("export", out, *options, "--overwrite")[0] == 0


def test_clips_need_the_folder_of_the_recordings(place, out, to, archive, tmp_path) -> None:
    put_result(place, "a.wav", BEGIN, [Heard("dog", 1)])
    status, _, errors = archive("export", out, "--format", "clips", "--to", to)
    assert (status, errors) == (2, ["edgeaudio: clips are cut from the recordings; name their folder by --recordings"])
    missing = tmp_path / "missing"
    status, _, errors = archive("export", out, "--format", "clips", "--to", to, "--recordings", missing)
    assert (status, len(errors)) == (2, 1)
