"""Copies of clips as WAV: the process that decodes, its limits, and what is kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.published_media import clip, tone

from edgeaudio.dashboard.media import decoder, wav_copy
from edgeaudio.dashboard.media.archive import OpenMedium
from edgeaudio.dashboard.media.wav_copy import CopyError, WavCopies
from edgeaudio.dashboard.media.wire import BY_SUFFIX


class Clips:
    """Clips in files, and their copies."""

    def __init__(self, folder: Path) -> None:
        self.copies = WavCopies(folder)
        self.asked = 0
        self._folder = folder

    def copy(self, name: str, content: bytes, suffix: str = "opus") -> bytes:
        file = self._folder / f"{name}.{suffix}"
        file.write_bytes(content)
        descriptor = os.open(file, os.O_RDONLY)
        try:
            found = self.copies.get(OpenMedium(descriptor, len(content), BY_SUFFIX[suffix], name))
        finally:
            os.close(descriptor)
        with os.fdopen(found.descriptor, "rb") as copy:
            copy.seek(0)
            return copy.read()


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clips]:
    clips = Clips(tmp_path)
    run = subprocess.run

    def counted(*arguments: object, **options: object) -> object:
        clips.asked += 1
        return run(*arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", counted)
    yield clips
    clips.copies.close()


def test_a_copy_is_made_once_and_the_oldest_go(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = clip(tone(440, seconds=0.5))
    first = clips.copy("a", sound)
    assert clips.copy("a", sound) == first
    assert clips.asked == 1
    monkeypatch.setattr(wav_copy, "MAX_KEPT_BYTES", 2 * len(first))
    clips.copy("b", sound)
    clips.copy("c", sound)
    clips.copy("b", sound)
    assert clips.asked == 3
    clips.copy("a", sound)
    assert clips.asked == 4


def test_why_there_is_no_copy_is_remembered(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        with pytest.raises(CopyError, match="it is damaged, or no sound"):
            clips.copy("noise", b"fLaC" + bytes(range(256)) * 20, "flac")
    assert clips.asked == 1
    monkeypatch.setattr(wav_copy, "MAX_COPY_BYTES", 10_000)
    with pytest.raises(CopyError, match="it is too long for a copy: download the original"):
        clips.copy("long", clip(tone(440, seconds=0.5)))
    monkeypatch.setattr(wav_copy, "MAX_COPY_BYTES", 10_000_000)
    monkeypatch.setattr(wav_copy, "LIMIT_S", 0.001)
    with pytest.raises(CopyError, match=r"it was not decoded within 0.001 s"):
        clips.copy("slow", clip(tone(440, seconds=0.5)))


def test_without_room_there_is_no_copy_and_the_next_try_may_work(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = clip(tone(440, seconds=0.5))
    with monkeypatch.context() as patch:
        patch.setattr(clips.copies, "_folder", Path("/nowhere"))
        with pytest.raises(CopyError, match="there is no room for a copy: No such file"):
            clips.copy("a", sound)
    assert clips.copy("a", sound)[:4] == b"RIFF"


def test_the_decoder_has_limits_no_secrets_and_none_of_the_dashboards_files(tmp_path: Path) -> None:
    # in place of FFmpeg: what a decoder that was taken over would find
    (tmp_path / "av.py").write_text(
        "import os, resource, sys\n"
        "limits = [resource.getrlimit(getattr(resource, f'RLIMIT_{n}')) for n in ('CPU', 'AS', 'FSIZE', 'CORE')]\n"
        "print(limits, sorted(os.environ), len(os.listdir('/proc/self/fd')), flush=True)\n"
        "raise ImportError\n"
    )
    out = tmp_path / "out"
    with out.open("wb") as file, (tmp_path / "av.py").open("rb") as clip_file:
        medium = OpenMedium(clip_file.fileno(), 1, BY_SUFFIX["opus"], "x")
        before = {"EDGEAUDIO_MQTT__PASSWORD": "s3cret", "PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in before.items():
                patch.setenv(name, value)
            patch.setattr(tempfile, "TemporaryFile", lambda **_: open(out, "wb"))  # noqa: SIM115, PTH123
            with pytest.raises(CopyError):
                WavCopies(tmp_path).get(medium)
        file.flush()
    limits, _, rest = out.read_text().partition("] ")
    sizes = (decoder.CPU_S, decoder.MEMORY_BYTES, wav_copy.MAX_COPY_BYTES, 0)
    assert limits == str([(size, size) for size in sizes])[:-1]
    assert "EDGEAUDIO" not in rest
    assert "PYTHONPATH" in rest
    assert int(rest.rpartition("]")[2]) <= 4  # its three streams, and the listing itself


def test_the_decoder_alone_can_be_asked(tmp_path: Path) -> None:
    file = tmp_path / "a.flac"
    file.write_bytes(clip(tone(440, seconds=0.5), "flac"))
    command = [sys.executable, "-m", "edgeaudio.dashboard.media.decoder"]
    for format_name, status in (("flac", 0), ("ogg", 5)):
        with file.open("rb") as source, (tmp_path / "out").open("wb") as out:
            done = subprocess.run([*command, format_name, "100000"], stdin=source, stdout=out, timeout=30, check=False)
        assert done.returncode == status


MEASURED = """
import pathlib, sys
from edgeaudio.dashboard.media import decoder
assert decoder.main("flac", 64_000_000) == 0
sys.stderr.write(pathlib.Path("/proc/self/status").read_text())
"""


def test_a_small_file_of_a_long_silence_takes_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    peaks_kb = []
    for seconds in (1, 1000):
        file = tmp_path / f"{seconds}.flac"
        file.write_bytes(clip(np.zeros(8000 * seconds, np.float32), "flac", 8000))
        assert file.stat().st_size < 400_000
        with file.open("rb") as source, (tmp_path / "out").open("wb") as out:
            command = [sys.executable, "-c", MEASURED]
            done = subprocess.run(command, stdin=source, stdout=out, stderr=subprocess.PIPE, text=True, check=True)
        peaks_kb.append(int(done.stderr.partition("VmHWM:")[2].split()[0]))
    assert peaks_kb[1] < peaks_kb[0] + 8000
