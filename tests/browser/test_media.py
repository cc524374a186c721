"""Clips and pictures on the page: heard, looked at, turned up, downloaded, as somebody does it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dashboard.test_media_http import wait_for_files, wait_for_media
from dashboard.test_with_broker import dog
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard
from support.published_media import MediaPublisher, clip, picture, tone
from support.waiting import wait_until

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
Publish = Callable[..., None]
EVENT = "?view=event&device=dock&source=porch&id=e1"
E1 = "/api/events/dock/porch/e1"
SOUND = tone(200, 3000, seconds=6.0)  # low, then high
NO_OPUS = (
    """HTMLMediaElement.prototype.canPlayType = function (type) { return type.includes("wav") ? "maybe" : ""; };"""
)
# what comes out of the chain of a clip: the RMS of each second's end, in dBFS, and the peak of all
RENDERED = """async ([gain_db, highpass_hz, level]) => {
  const { audioChain } = await import("/audio_chain.js");
  const file = await (await fetch("/api/events/dock/porch/e1/clip")).arrayBuffer();
  const context = new OfflineAudioContext(1, 48000 * 6, 48000);
  const decoded = await context.decodeAudioData(file);
  const source = new AudioBufferSourceNode(context, { buffer: decoded });
  const before = new GainNode(context, { gain: level });
  const chain = audioChain(context);
  chain.set(5, 77);  // something else first
  chain.set(gain_db, highpass_hz);
  source.connect(before).connect(chain.input);
  chain.output.connect(context.destination);
  source.start();
  const samples = (await context.startRendering()).getChannelData(0);
  const rms = (from, to) => 10 * Math.log10(
    samples.slice(from, to).reduce((sum, one) => sum + one * one, 0) / (to - from));
  const peak = samples.slice(4800).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
  return { low: rms(48000, 96000), high: rms(192000, 240000), peak };
}"""


def wait_for(page: Page, condition: str) -> None:
    """Wait for an expression to be true; Playwright's own way is what the page's policy forbids."""
    wait_until(lambda: page.evaluate(condition), 10, condition)


@pytest.fixture
def agent(served: RunningDashboard, broker: BrokerProcess) -> Iterator[MediaPublisher]:
    wait_for_media(served)
    with MediaPublisher(broker.port) as agent:
        yield agent


def detect(agent: MediaPublisher, served: RunningDashboard, **changes: Any) -> None:
    agent.publish("edgeaudio/dock/porch/detection", json.dumps(dog(1, **changes)).encode())
    wait_until(lambda: served.get(E1).status == 200)


def test_a_clip_plays_and_its_place_is_shown_in_the_picture(
    open_page: Open, served: RunningDashboard, agent: MediaPublisher
) -> None:
    detect(agent, served)
    agent.send(picture(), "image/jpeg", "e1", plot=[0.1, 0.9])
    agent.send(clip(SOUND), "audio/ogg", "e1")
    wait_for_files(served, 2)
    page = open_page(EVENT)
    image = page.get_by_role("img", name="Spectrogram of dog on porch")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.complete && image.naturalWidth") == 96
    audio = page.locator("audio")
    expect(audio).to_have_accessible_name("Clip of dog")
    wait_for(page, "Math.abs(document.querySelector('audio').duration - 6) < 0.1")  # found by Range
    head = page.locator(".playhead")
    expect(head).to_be_visible()
    # what is heard: an analyser on the element's own output
    heard = audio.evaluate("""async (audio) => {
      const context = new AudioContext(), analyser = new AnalyserNode(context, { fftSize: 4096 });
      new MediaStreamAudioSourceNode(context, { mediaStream: audio.captureStream() }).connect(analyser);
      audio.currentTime = 4;
      await audio.play();
      const levels = new Float32Array(analyser.frequencyBinCount);
      for (let tries = 0; tries < 100; tries += 1) {
        await new Promise((done) => setTimeout(done, 50));
        analyser.getFloatFrequencyData(levels);
        if (Math.max(...levels) > -60) break;
      }
      audio.pause();
      return [audio.currentTime, levels.indexOf(Math.max(...levels)) * context.sampleRate / 4096, Math.max(...levels)];
    }""")
    assert heard[0] > 4
    assert heard[1] == pytest.approx(3000, abs=30)
    assert heard[2] > -60
    audio.evaluate("audio => { audio.currentTime = 3; }")
    wait_for(page, "Math.abs(parseFloat(document.querySelector('.playhead').style.left) - 50) < 1")
    box = image.bounding_box()
    assert box is not None
    image.click(position={"x": 0.1 * box["width"] + 1, "y": 5})
    wait_for(page, "document.querySelector('audio').currentTime < 0.1")
    image.click(position={"x": 0.95 * box["width"], "y": 5})
    wait_for(page, "document.querySelector('audio').currentTime > 5.9")
    statuses = served.get(f"{E1}/clip", Range="bytes=0-").status
    assert statuses == 206


def test_gain_and_high_pass_change_what_is_heard_and_a_limiter_bounds_it(
    open_page: Open, served: RunningDashboard, agent: MediaPublisher
) -> None:
    detect(agent, served)
    agent.send(clip(SOUND, "flac"), "audio/flac", "e1")
    wait_for_files(served, 1)
    page = open_page(EVENT)

    def rendered(gain_db: float = 0, highpass_hz: float = 0, level: float = 1.0) -> Any:
        return page.evaluate(RENDERED, [gain_db, highpass_hz, level])

    plain = rendered()
    assert plain["low"] == pytest.approx(20 * np.log10(0.1 / np.sqrt(2)), abs=0.1)
    assert plain["high"] == pytest.approx(plain["low"], abs=0.1)
    assert rendered(gain_db=-20)["low"] == pytest.approx(plain["low"] - 20, abs=0.1)
    louder = rendered(gain_db=12)
    assert louder["low"] == pytest.approx(plain["low"] + 12, abs=0.2)
    filtered = rendered(highpass_hz=1000)
    assert filtered["low"] < plain["low"] - 50  # 24 dB an octave
    assert filtered["high"] == pytest.approx(plain["high"], abs=0.2)
    quiet = rendered(gain_db=40, level=0.001)
    assert quiet["high"] == pytest.approx(plain["high"] - 20, abs=0.3)
    loud = rendered(gain_db=40, level=10)  # 40 dB over full scale
    assert loud["peak"] <= 1.3
    assert loud["high"] < 0

    page.get_by_label("Gain").fill("20")
    page.get_by_label("High-pass").select_option("1 kHz")
    expect(page.locator("output")).to_have_text("+20 dB")
    expect(page.get_by_label("Gain")).to_have_attribute("aria-valuetext", "+20 dB")
    page.locator("audio").evaluate("audio => audio.play()")
    wait_for(page, "document.querySelector('audio').currentTime > 0.3")  # it goes on playing through the chain
    page.get_by_role("button", name="As recorded").click()
    expect(page.get_by_label("Gain")).to_have_value("0")
    expect(page.get_by_label("High-pass")).to_have_value("0")
    expect(page.locator("output")).to_have_text("0 dB")


def test_both_can_be_downloaded_and_have_the_bytes_that_were_sent(
    open_page: Open, served: RunningDashboard, agent: MediaPublisher
) -> None:
    detect(agent, served)
    sound, drawing = clip(SOUND), picture("png")
    agent.send(sound, "audio/ogg", "e1")
    agent.send(drawing, "image/png", "e1")
    wait_for_files(served, 2)
    page = open_page(EVENT)
    for name, content, ending in (
        (re.compile(r"Download the sound \(Opus, \d+ kB\)"), sound, "_dock-porch-dog_e1.opus"),
        (re.compile("Download the picture"), drawing, "_dock-porch-dog_e1.png"),
    ):
        with page.expect_download() as waiting:
            page.get_by_role("link", name=name).click()
        assert waiting.value.suggested_filename.endswith(ending)
        assert waiting.value.path().read_bytes() == content
    with page.expect_download() as waiting:
        page.get_by_role("link", name="as WAV").click()
    assert waiting.value.path().read_bytes()[:4] == b"RIFF"


def test_a_browser_that_cannot_play_the_original_gets_a_copy_and_says_so(
    open_page: Open, served: RunningDashboard, agent: MediaPublisher
) -> None:
    detect(agent, served)
    agent.send(clip(SOUND), "audio/ogg", "e1")
    wait_for_files(served, 1)
    for is_told in (True, False):  # by canPlayType, or by an error as it plays
        page = open_page("?view=devices")
        if is_told:
            page.add_init_script(NO_OPUS)
        else:
            page.route(f"**{E1}/clip", lambda route: route.fulfill(body=b"OggS nothing", content_type="audio/ogg"))
        page.goto(f"http://127.0.0.1:{served.port}/{EVENT}")
        expect(page.get_by_text("This browser cannot play the original: a copy as WAV is played.")).to_be_visible()
        wait_for(page, "Math.abs(document.querySelector('audio').duration - 6) < 0.1")
        assert page.locator("audio").evaluate("audio => audio.currentSrc").endswith("/clip?format=wav")
        page.locator("audio").evaluate("audio => { audio.currentTime = 4; return audio.play(); }")
        wait_for(page, "document.querySelector('audio').currentTime > 4.2")


def test_a_clip_that_nobody_can_play_is_said_to_be_one(
    open_page: Open, served: RunningDashboard, agent: MediaPublisher
) -> None:
    detect(agent, served)
    agent.send(b"fLaC" + bytes(range(256)) * 20, "audio/flac", "e1")
    wait_for_files(served, 1)
    page = open_page("?view=devices")
    page.on("console", lambda _: None)
    page.goto(f"http://127.0.0.1:{served.port}/{EVENT}")
    expect(page.get_by_text("This clip cannot be played: it is damaged")).to_be_visible()
    expect(page.get_by_role("link", name="Download the sound")).to_be_visible()


def test_a_clip_comes_into_the_view_and_the_list_by_itself(
    open_page: Open, served: RunningDashboard, agent: MediaPublisher
) -> None:
    page = open_page("?view=devices")
    expect(page.locator("#connection")).to_have_text("live")
    detect(agent, served)
    view = open_page(EVENT)
    expect(view.get_by_text("No clip of this sound came. On the device, set")).to_be_visible()
    young_one = json.dumps(dog(2, label="owl", at=datetime.now(UTC).isoformat())).encode()
    agent.publish("edgeaudio/dock/porch/detection", young_one)
    wait_until(lambda: served.get("/api/events/dock/porch/e2").status == 200)
    young = open_page("?view=event&device=dock&source=porch&id=e2")
    expect(young.get_by_text("A clip, if the device sends any, appears here")).to_be_visible()
    expect(view.locator("#connection")).to_have_text("live")
    expect(page.get_by_role("link", name="dog")).to_be_visible()
    expect(page.get_by_role("button", name="Play dog")).to_have_count(0)
    agent.send(clip(SOUND), "audio/ogg", "e1")
    expect(view.locator("audio")).to_be_visible()
    button = page.get_by_role("button", name="Play dog, dock: porch")
    expect(button).to_be_visible()
    button.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Stop dog, dock: porch")).to_be_focused()
    page.keyboard.press("Enter")
    expect(button).to_be_focused()
    again = open_page("?view=devices")  # what came before the page was opened
    expect(again.get_by_role("button", name="Play dog, dock: porch")).to_be_visible()


def test_the_history_plays_one_clip_at_a_time(open_page: Open, served: RunningDashboard, agent: MediaPublisher) -> None:
    for number, label in ((1, "dog"), (2, "cat"), (3, "owl")):
        agent.publish("edgeaudio/dock/porch/detection", json.dumps(dog(number, label=label)).encode())
    agent.send(clip(tone(440, seconds=1.0)), "audio/ogg", "e1")
    agent.send(clip(tone(440, seconds=30.0)), "audio/ogg", "e2")
    agent.send(picture(), "image/jpeg", "e3")
    wait_for_files(served, 3)
    page = open_page("?view=history")
    rows = page.get_by_role("region", name="Sounds").locator("tbody tr")
    expect(rows.filter(has_text="owl")).to_contain_text("picture")
    page.get_by_role("button", name="Play cat").click()
    expect(page.get_by_role("button", name="Stop cat")).to_be_visible()
    page.get_by_role("button", name="Play dog").click()
    expect(page.get_by_role("button", name="Play cat")).to_be_visible()
    expect(page.get_by_role("button", name="Stop dog")).to_be_visible()
    expect(page.get_by_role("button", name="Play dog")).to_be_visible()  # it has ended


def test_the_player_fits_a_phone(open_page: Open, served: RunningDashboard, agent: MediaPublisher) -> None:
    detect(agent, served, label="x" * 200)
    agent.send(clip(SOUND), "audio/ogg", "e1")
    agent.send(picture(), "image/jpeg", "e1")
    wait_for_files(served, 2)
    page = open_page(EVENT, viewport={"width": 360, "height": 740})
    expect(page.locator("audio")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
