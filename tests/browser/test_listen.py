"""Listening to a source, in a real Chromium: a real agent's sound plays, and what does not come is said."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest
from agent.test_live import AUDIBLE, camera, source
from dashboard.test_with_broker import model, run_agent
from support.agents import Listener, RunningAgent
from support.brokers import BrokerProcess, Subscriber
from support.opus import heard
from support.ports import free_port
from support.waiting import wait_until

from edgeaudio.sinks.live.sound import SoundSource
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import Block, EpochEnd, LiveSound, Samples

if TYPE_CHECKING:
    from playwright.sync_api import Page
expect = pytest.importorskip("playwright.sync_api").expect

__all__ = ["model", "run_agent"]
Open = Callable[..., "Page"]
Publish = Callable[..., None]
VIEW = "?view=live&device=testbox&source=porch"
RATE = 48_000
# plays messages as they would come in a row, into a file of so many seconds
PLAY = """async ([texts, seconds]) => {
  const { Player } = await import("./live_player.js");
  const context = new OfflineAudioContext(1, seconds * 48000, 48000), player = new Player(context, context.destination);
  for (const text of texts) await player.take(Uint8Array.from(atob(text), (char) => char.charCodeAt(0)).buffer);
  const made = (await context.startRendering()).getChannelData(0);
  return btoa(Array.from(new Uint8Array(made.buffer), (byte) => String.fromCharCode(byte)).join(""));
}"""


def sound(samples: Samples, rate: int = RATE) -> list[LiveSound]:
    at = datetime.now(UTC)
    made = SoundSource({}, 0.0)
    items = (Block("porch", 0, 0, at, rate, samples), EpochEnd("porch"))
    return [each for item in items for each in made.take(item, 0.0)]


def payload(message: LiveSound) -> bytes:
    return messages.live_sound(Topics("edgeaudio", "testbox"), message).payload


def played(page: Page, made: list[LiveSound], seconds: int) -> Samples:
    texts = [base64.b64encode(payload(message)).decode() for message in made]
    found = np.frombuffer(base64.b64decode(page.evaluate(PLAY, [texts, seconds])), np.float32)
    return found[round(0.3 * RATE) :]  # which it waits before it begins


def level(page: Page) -> float:
    return float(page.get_by_label("Level of the sound").get_attribute("data-seconds") or 0)


def test_a_real_agent_is_heard_with_the_keyboard_and_only_as_long_as_somebody_listens(
    open_page: Open, broker: BrokerProcess, run_agent: Callable[..., RunningAgent]
) -> None:
    with camera("opus") as url, Listener(broker.port, "edgeaudio/#") as listener:
        run_agent(broker, source(url), settings=AUDIBLE).start()
        listener.wait_detection("onset")
        page = open_page(VIEW)
        expect(page.locator("canvas")).to_have_attribute("data-columns", re.compile("[1-9]"))
        assert listener.of("edgeaudio/testbox/porch/live/audio/set") == []
        page.get_by_role("button", name="Listen").press("Enter")
        state = page.locator("#sound")
        expect(state).to_have_text(re.compile(r"^playing, about \d+ s late$"))
        # a tone of half of full scale: -6 dB
        meter = page.get_by_label("Level of the sound")
        wait_until(lambda: level(page) > 2, 15, "it does not go on")
        assert 50 < float(meter.evaluate("meter => meter.value")) < 60
        volume = page.get_by_label("Volume", exact=True)
        volume.focus()
        volume.press("Home")
        assert volume.input_value() == "0"
        page.get_by_role("button", name="Stop listening").press("Enter")
        expect(state).to_have_text("")
        stopped = level(page)
        leases = len(listener.of("edgeaudio/testbox/porch/live/audio/set"))
        columns = page.locator("canvas").get_attribute("data-columns")
        ended_s = time.monotonic()
        wait_until(lambda: time.monotonic() - ended_s > 6, 20)
        assert level(page) == stopped
        assert len(listener.of("edgeaudio/testbox/porch/live/audio/set")) <= leases + 1
        assert page.locator("canvas").get_attribute("data-columns") != columns


def test_what_is_played_is_what_was_sent_without_a_seam(open_page: Open) -> None:
    page = open_page("?view=history")
    seconds = np.arange(3 * RATE) / RATE
    tone = (0.3 * np.sin(2 * np.pi * (300 + 200 * seconds) * seconds)).astype(np.float32)
    made = sound(tone)
    (whole,) = heard(made)  # decoded in one go
    found = played(page, made, 4)
    assert len(whole.samples) == len(tone)
    assert np.abs(found[: len(tone)]).mean() > 0.1
    assert not found[len(tone) :].any()
    # there is a seam each 0.2 s
    per_10_ms = np.sqrt(np.square(found[: len(tone)] - whole.samples).reshape(-1, RATE // 100).mean(axis=1))
    assert per_10_ms.max() < 0.02, per_10_ms.round(3).tolist()


def test_a_message_that_is_missing_moves_nothing_and_a_new_stream_follows(open_page: Open) -> None:
    page = open_page("?view=history")
    click = np.zeros(RATE, np.float32)
    click[RATE // 2 : RATE // 2 + 100] = 0.5
    first, second = sound(click), sound(click)
    del first[1]  # from 0.2 s to 0.4 s
    found = np.abs(played(page, first + second, 4))
    places = np.flatnonzero(found > 0.25)
    gaps = np.flatnonzero(np.diff(places) > 1000)
    assert len(gaps) == 1
    assert abs(places[0] / RATE - 0.3) < 0.01
    assert abs(places[gaps[0] + 1] / RATE - (0.8 + 0.5)) < 0.01


def test_a_refusal_is_said_in_the_agent_s_words(
    open_page: Open, broker: BrokerProcess, run_agent: Callable[..., RunningAgent]
) -> None:
    with Listener(broker.port, "edgeaudio/#") as listener:
        run_agent(broker, source(f"rtsp+listen://127.0.0.1:{free_port()}/x")).start()
        listener.wait_state("porch", "connecting")
        page = open_page(VIEW)
        page.get_by_role("button", name="Listen").click()
        expect(page.locator("#sound")).to_have_text(
            "testbox refuses to let porch be heard: live sound is switched off in the settings: set live.audio"
        )


def test_sound_that_is_late_and_sound_that_does_not_come_are_said(
    open_page: Open, broker: BrokerProcess, publish: Publish
) -> None:
    topic = "edgeaudio/testbox/porch/live/audio"
    page = open_page(VIEW)
    with Subscriber(broker.port, f"{topic}/set") as leases:
        page.get_by_role("button", name="Listen").click()
        expect(page.locator("#sound")).to_have_text(re.compile("^waiting for the sound"))
        wait_until(lambda: leases.heard)
        made = sound(np.full(RATE, 0.3, np.float32))
        for message in made:
            whole = bytearray(payload(message))
            whole[2] |= 2
            publish(topic, bytes(whole))
        expect(page.locator("#sound")).to_have_text(
            re.compile(r"^playing, about \d+ s late: only sound is sent that was judged")
        )
        publish(topic, payload(made[0])[:-1])  # malformed: it never reaches the page
        expect(page.locator("#sound")).to_have_text(re.compile("^no sound comes"), timeout=15_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_page: Open, scheme: str) -> None:
    page = open_page(VIEW, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page.get_by_role("button", name="Listen").click()
    expect(page.locator("#sound")).to_have_text(re.compile("^waiting"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
