"""Sound cards, by ALSA's own plug-ins: a card that plays a file, and cards that are not there."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from support.media import sine
from support.sources import hear
from support.waiting import wait_until

from edgeaudio.capture import frames, retry, soundcard
from edgeaudio.capture.clock import Clock
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.reasons import SourceError
from edgeaudio.recognise.types import Reason, SourceState


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


# no machine that tests run on has a sound card to unplug: ALSA's own plug-in is opened and read for real, and the error
# is put where FFmpeg would raise what ALSA gives it


def alsa_error(number: int) -> OSError:
    with pytest.raises(OSError) as raised:  # noqa: PT011 (the number decides which)
        av.error.err_check(-number)
    error: OSError = raised.value
    return error


@pytest.mark.usefixtures("card")
def test_a_card_that_another_program_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise alsa_error(errno.EBUSY)

    monkeypatch.setattr(av, "open", busy)
    with pytest.raises(SourceError, match="another program holds the sound card tone; close") as caught:
        hear("alsa:tone")
    assert caught.value.reason is Reason.DEVICE_BUSY


@pytest.mark.usefixtures("card")
def test_a_card_that_is_unplugged_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY_S", 0.1)
    unplugged = threading.Event()
    demux = frames.FrameReader.__init__

    def with_a_cable(reader: frames.FrameReader, *arguments: Any) -> None:
        demux(reader, *arguments)
        packets = reader._packets

        def until_unplugged() -> Iterator[Any]:
            for packet in packets:
                if unplugged.is_set():
                    unplugged.clear()
                    raise alsa_error(errno.ENODEV)
                time.sleep(0.005)  # this card has no clock, and plays as fast as it is read
                yield packet

        reader._packets = until_unplugged()

    monkeypatch.setattr(frames.FrameReader, "__init__", with_a_cable)
    said: list[tuple[SourceState, Reason | None]] = []
    stop = threading.Event()
    reader = retry.Reader(
        SourceConfig("card", "alsa:tone"),
        on_block=lambda _: None,
        on_status=lambda status: said.append((status.state, status.reason)),
        stop=stop,
        clock=Clock(),
    )
    thread = threading.Thread(target=reader.run)
    thread.start()
    try:
        wait_until(lambda: (SourceState.LISTENING, None) in said)
        unplugged.set()
        gone = (SourceState.WAITING, Reason.DEVICE_GONE)
        wait_until(lambda: gone in said)
        wait_until(lambda: (SourceState.LISTENING, None) in said[said.index(gone) :])
    finally:
        stop.set()
        thread.join(5)
