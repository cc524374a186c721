"""Sound cards, by ALSA's own plug-ins: a card that plays a file, and cards that are not there."""

import os
from pathlib import Path

import numpy as np
import pytest
from support.media import sine
from support.sources import hear

from edgeaudio.capture import soundcard
from edgeaudio.capture.reasons import SourceError
from edgeaudio.recognise.types import Reason


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sound card `tone`, as far as ALSA is concerned."""
    samples = (sine(1000, 48000, 20.0) * 32767).astype("<i2")
    recording = tmp_path / "tone.raw"
    recording.write_bytes(np.repeat(samples, 2).tobytes())
    configuration = tmp_path / "asound.conf"
    configuration.write_text(
        f'pcm.tone {{ type file slave.pcm {{ type null }} file "/dev/null" infile "{recording}" format raw }}\n'
    )
    monkeypatch.setenv("ALSA_CONFIG_PATH", str(configuration))


@pytest.mark.usefixtures("card")
def test_a_sound_card_is_heard() -> None:
    heard = hear("alsa:tone", 0.5, channel=1)
    info = heard.connection.info
    assert (info.container, info.codec, info.sample_rate, info.channels) == ("alsa", "pcm_s16le", 48000, 2)
    # this card has no clock of its own, and its timestamps make no sense: the samples do
    assert np.abs(heard.samples).max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.usefixtures("card")
@pytest.mark.parametrize("query", ["?sample_rate=192000&channels=1", "?sample_rate=16000"])
def test_the_rate_that_is_asked_of_a_card(query: str) -> None:
    heard = hear(f"alsa:tone{query}", 0.1)
    assert f"sample_rate={heard.blocks[0].sample_rate}" in query


@pytest.mark.usefixtures("card")
def test_a_card_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="there is no sound card hw:7,0") as caught:
        hear("alsa:hw:7,0")
    assert caught.value.reason is Reason.NOT_FOUND


def test_the_wheels_alsa_is_never_left_to_look_under_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)
    monkeypatch.delenv("ALSA_PLUGIN_DIR", raising=False)
    monkeypatch.setattr(soundcard, "CONFIGURATION", "/nowhere/alsa.conf")
    with pytest.raises(SourceError, match="install libasound2-data"):
        hear("alsa:hw:7,0")
    assert os.environ["ALSA_PLUGIN_DIR"].startswith("/usr/lib/")
