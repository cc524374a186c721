"""Fixtures of tests of sources: media, back-off in tenths of a second, an environment without proxies."""

from __future__ import annotations

import pytest
from support.media import sine, write_media

from edgeaudio.capture import reader

RATE = 16000


@pytest.fixture
def system_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    write_media(folder / "a.ts", "aac", sine(1000, RATE, 1.0), RATE)
    write_media(folder / "a.wav", "pcm_s16le", sine(1000, RATE, 1.0), RATE)
    write_media(folder / "a.mp3", "libmp3lame", sine(1000, RATE, 2.0), RATE)
    return {name: (folder / name).read_bytes() for name in ("a.ts", "a.wav", "a.mp3")}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off in tenths of a second."""
    monkeypatch.setattr(reader, "FIRST_DELAY_S", 0.1)
    monkeypatch.setattr(reader, "LAST_DELAY_S", 0.4)
