"""Sound cards, by ALSA's own plug-ins: a card that plays a file, and cards that fail, each with ALSA's own answer."""

import errno
import logging
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.faulty_card import build_plugin, use_cards
from support.media import sine, write_media
from support.sources import hear
from support.waiting import wait_until

from edgeaudio.capture import alsa, alsa_errors, reader
from edgeaudio.capture.config import SourceConfig
from edgeaudio.capture.errors import SourceError, StoppedError
from edgeaudio.clock import Clock
from edgeaudio.types import Reason, SourceState


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


def test_the_wheels_alsa_is_never_left_to_look_under_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALSA_CONFIG_PATH", raising=False)
    monkeypatch.delenv("ALSA_PLUGIN_DIR", raising=False)
    monkeypatch.setattr(alsa, "CONFIGURATION", "/nowhere/alsa.conf")
    with pytest.raises(SourceError, match="install libasound2-data"):
        hear("alsa:hw:7,0")
    assert os.environ["ALSA_PLUGIN_DIR"].startswith("/usr/lib/")


# no machine that tests run on has a sound card: an external plug-in of ALSA's answers as a card's driver would


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alsa-plugins")
    build_plugin(folder)
    return folder


def refusal(url: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        hear(url, 5, open_timeout_s=3, read_timeout_s=3)
    return caught.value


NO_CARD = ("this machine has none at all that records", "plug one in; `arecord -L` then lists it")


@pytest.mark.parametrize(
    ("url", "definition", "reason", "detail", "hint"),
    [
        ("alsa:a", "open_error EBUSY", Reason.DEVICE_BUSY, "another program holds the sound card a", "close the other"),
        ("alsa:a", "set_error EBUSY", Reason.DEVICE_BUSY, "another program holds the sound card a", "close the other"),
        ("alsa:a", "open_error EACCES", Reason.UNAUTHORIZED, "not allowed to use the sound card a", "group audio"),
        ("alsa:a", "open_error EPERM", Reason.UNAUTHORIZED, "not allowed to use the sound card a", "group audio"),
        ("alsa:a", "open_error EINVAL", Reason.INVALID_DATA, "ALSA can make nothing of the name a", "arecord -L"),
        ("alsa:a", "open_error ENODEV", Reason.NOT_FOUND, *NO_CARD),
        ("alsa:a", "open_error ENOENT", Reason.NOT_FOUND, *NO_CARD),
        ("alsa:a", "open_error ECONNREFUSED", Reason.REFUSED, "the sound server behind a does not answer", "PipeWire"),
        ("alsa:a", "loud 1 open_error ECONNREFUSED", Reason.REFUSED, "the sound server behind a does not", "PipeWire"),
        ("alsa:a", "open_error EIO", Reason.DEVICE_GONE, "a cannot be opened (input/output error)", "dmesg"),
        ("alsa:a", "prepare_error ENODEV", Reason.NOT_FOUND, *NO_CARD),
        ("alsa:a", "channels 1", Reason.INVALID_DATA, "a does not give 2 channels, but 1", "alsa:a?channels=1"),
        ("alsa:a?channels=8", "", Reason.INVALID_DATA, "a does not give 8 channels, but 2", "alsa:a?channels=2"),
        ("alsa:a", "s32 1", Reason.INVALID_DATA, "a gives no samples of 16 bits", "type plug"),
        ("alsa:a", "set_error EINVAL", Reason.INVALID_DATA, "it offers 8000 to 96000 Hz", "leave sample_rate and"),
        ("alsa:a", "read_error ENODEV read_ms 300", Reason.DEVICE_GONE, "the sound card a went away", "plug the sound"),
        ("alsa:a", "read_error EIO read_ms 300", Reason.TIMEOUT, "the sound card a gives no sound", "dmesg"),
        ("alsa:hw:7,0", "", Reason.NOT_FOUND, *NO_CARD),
        ("alsa:default", "", Reason.NOT_FOUND, *NO_CARD),
    ],
)
def test_what_alsa_says_is_what_is_told(
    url: str, definition: str, reason: Reason, detail: str, hint: str, plugins: Path, monkeypatch, capfd
) -> None:
    numbers = re.sub(r"E[A-Z]+", lambda name: str(getattr(errno, name[0])), definition)
    use_cards(monkeypatch, plugins, a=f"type faulty {numbers}")
    error = refusal(url)
    assert (error.reason, error.detail, error.hint) == (reason, Containing(detail), Containing(hint))
    assert error.__context__ is None
    assert capfd.readouterr().err == "", "ALSA printed something itself"


class Containing(str):
    """Equal to any text that it is a part of."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return self in str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def test_a_card_that_gives_nothing_is_a_stall_and_can_be_stopped(plugins: Path, monkeypatch) -> None:
    use_cards(monkeypatch, plugins, a="type faulty silent 1")
    with pytest.raises(SourceError, match="the sound card a gives no sound") as caught:
        hear("alsa:a", 5, open_timeout_s=0.5, read_timeout_s=0.5)
    assert caught.value.reason is Reason.TIMEOUT
    stop = threading.Event()
    timer = threading.Timer(0.3, stop.set)
    timer.start()
    with pytest.raises(StoppedError):
        hear("alsa:a", 5, stop=stop, open_timeout_s=20)
    timer.join()


def test_a_card_with_a_clock_of_its_own_is_heard_without_holes(plugins: Path, monkeypatch) -> None:
    use_cards(monkeypatch, plugins, a="type faulty")
    found = []
    for _ in range(3):  # a machine that stands still for long enough loses sound for real, but not each time
        began_s = time.monotonic()
        heard = hear("alsa:a?sample_rate=48000", 2.0)
        took_s = time.monotonic() - began_s
        found.append((heard.epochs, heard.connection.blocks.filled_s, took_s == pytest.approx(2.0, abs=0.5)))
        if found[-1] == ([0], 0.0, True):
            return
    raise AssertionError(found)


def test_what_is_told_is_of_this_source_and_of_no_other(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg's log is one for all threads."""
    use_cards(monkeypatch, plugins, busy="type faulty open_error 16", denied="type faulty open_error 13")
    wanted = [("alsa:busy", Reason.DEVICE_BUSY), ("alsa:denied", Reason.UNAUTHORIZED)] * 8
    with ThreadPoolExecutor(8) as side_by_side:
        found = list(side_by_side.map(lambda url: refusal(url).reason, [url for url, _ in wanted]))
    assert found == [reason for _, reason in wanted]


def test_the_cards_that_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pcm").write_text(
        "00-03: HDMI 0 : HDMI 0 : playback 1\n01-00: USB Audio : USB Audio : playback 1 : capture 1\n"
        "02-01: Hydrophone : Hydrophone : capture 1\n"
    )
    for number, name in ((1, "Device"), (2, "Reef")):
        (tmp_path / f"card{number}").mkdir()
        (tmp_path / f"card{number}" / "id").write_text(f"{name}\n")
    use_cards(monkeypatch, tmp_path)
    monkeypatch.setattr(alsa, "_KERNEL", tmp_path)
    monkeypatch.setattr(alsa_errors, "_DEVICES", tmp_path)
    error = refusal("alsa:hw:7,0")
    assert (error.reason, error.detail) == (Reason.NOT_FOUND, "there is no sound card hw:7,0")
    listed = "there is alsa:plughw:CARD=Device,DEV=0 (USB Audio), alsa:plughw:CARD=Reef,DEV=1 (Hydrophone)"
    assert error.hint == listed
    monkeypatch.setattr(alsa_errors, "_DEVICES", tmp_path / "nowhere")
    assert "give the container the device /dev/snd" in refusal("alsa:hw:7,0").hint


def test_a_card_whose_definition_comes_later_is_found(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `sysdefault:CARD=...`, which ALSA defines for the cards that there are when it reads its files."""
    use_cards(monkeypatch, plugins, early="type faulty")
    configuration, later = Path(os.environ["ALSA_CONFIG_PATH"]), plugins / "later.conf"
    later.unlink(missing_ok=True)
    hooks = f'@hooks [ {{ func load files [ "{later}" ] errors false }} ]\n'
    configuration.write_text(hooks + configuration.read_text())
    hear("alsa:early", 0.1)
    assert refusal("alsa:later").reason is Reason.NOT_FOUND
    later.write_text("pcm.later { type faulty }\n")
    assert hear("alsa:later", 0.1).seconds > 0


def test_ffmpegs_log_goes_nowhere(caplog: pytest.LogCaptureFixture, capfd, tmp_path: Path) -> None:
    """It holds whole addresses."""
    caplog.set_level(logging.DEBUG)
    write_media(tmp_path / "a.mp4", "aac", sine(1000, 48000, 1.0), 48000)
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError):
        hear(str(tmp_path / "a.mp4"), media=True)
    with pytest.raises(SourceError):
        hear("rtsp://me:hunter2@127.0.0.1:1/x")
    assert "libav" not in [record.name.partition(".")[0] for record in caplog.records]
    assert capfd.readouterr() == ("", "")


def test_a_card_that_is_unplugged_and_back(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "FIRST_DELAY_S", 0.1)
    use_cards(monkeypatch, plugins, card="type faulty read_error 19 read_ms 500")
    said: list[tuple[SourceState, Reason | None]] = []
    stop = threading.Event()
    reading = reader.Reader(
        SourceConfig("card", "alsa:card"),
        on_block=lambda _: None,
        on_status=lambda status: said.append((status.state, status.reason)),
        stop=stop,
        clock=Clock(),
    )
    thread = threading.Thread(target=reading.run)
    thread.start()
    try:
        gone = (SourceState.WAITING, Reason.DEVICE_GONE)
        wait_until(lambda: gone in said)
        assert (SourceState.LISTENING, None) in said
        wait_until(lambda: (SourceState.LISTENING, None) in said[said.index(gone) :])
    finally:
        stop.set()
        thread.join(5)
