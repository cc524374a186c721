"""The live view in a browser: columns, gaps, detections, scores, leases, and who cannot see or will not have motion."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dashboard.test_with_broker import dog
from support.brokers import BrokerProcess, Subscriber
from support.dashboards import RunningDashboard
from support.waiting import wait_until

from edgeaudio.dashboard.live_feed import RENEW_S
from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import LiveColumns

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
Publish = Callable[..., None]
VIEW = "?view=live&device=dock&source=porch"
LIVE, SET = "edgeaudio/dock/porch/live", "edgeaudio/dock/porch/live/set"
MARKUP = "<img src=x onerror=alert(1)>"
GAP = (125, 132, 140, 255)
LIGHTEST = (252, 253, 191, 255)
DARKEST = (0, 0, 4, 255)
BEGIN = datetime.now(UTC)


@pytest.fixture
def leases(broker: BrokerProcess, served: RunningDashboard) -> Iterator[Subscriber]:
    """A subscriber that sees who wants to watch."""
    with Subscriber(broker.port, SET) as subscriber:
        yield subscriber


def packet(sequence: int, stream: int = 1, *, late_s: float = 0.0, high_hz: float = 8000.0) -> bytes:
    """A packet whose lower half is as loud as can be, and whose upper half is silent."""
    levels = np.zeros((10, 256), np.uint8)
    levels[:, :128] = 255
    at = BEGIN + timedelta(seconds=0.2 * sequence + late_s)
    live = LiveColumns("porch", stream, sequence, at, 0.02, 0.0, high_hz, -127.5, 0.5, follows_gap=False, levels=levels)
    return messages.live_columns(Topics("edgeaudio", "dock"), live).payload


def wait_columns(page: Page, count: int) -> None:
    expect(page.locator("canvas")).to_have_attribute("data-columns", str(count))


def colour(page: Page, column: int, height: float, columns: int) -> tuple[int, ...]:
    """Colour of a column, counted from the first of so many, at a height from 0 (the bottom) to 1."""
    found: list[int] = page.evaluate(
        """([column, height, columns]) => {
          const canvas = document.querySelector("canvas"), scale = devicePixelRatio;
          const left = Math.min(120, canvas.clientWidth * 0.24), plot = canvas.clientWidth - left - 1;
          const low = canvas.clientHeight - 5 * 24 - 26;
          const x = left + plot * (1500 - columns + column) / 1500, y = low - height * (low - 8);
          return [...canvas.getContext("2d").getImageData(Math.round(x * scale), Math.round(y * scale), 1, 1).data];
        }""",
        [column, height, columns],
    )
    return tuple(found)


def test_columns_appear_and_what_is_lost_is_a_gap(open_page: Open, publish: Publish, leases: Subscriber) -> None:
    page = open_page(VIEW)
    wait_until(lambda: leases.heard)
    for sequence in (*range(10), *range(20, 30)):
        publish(LIVE, packet(sequence))
    wait_columns(page, 300)
    assert colour(page, 50, 0.25, 300) == LIGHTEST
    assert colour(page, 50, 0.75, 300) == DARKEST
    assert {colour(page, 150, height, 300) for height in (0.25, 0.75)} == {GAP}
    assert colour(page, 250, 0.25, 300) == LIGHTEST
    # another stream after 4 s without sound; a packet that comes twice is shown once
    publish(LIVE, packet(30, stream=2, late_s=4))
    publish(LIVE, packet(30, stream=2, late_s=4))
    wait_columns(page, 510)
    assert colour(page, 400, 0.25, 510) == GAP
    expect(page.get_by_role("img")).to_have_attribute(
        "aria-label", "Spectrogram of porch on dock: the latest 30 s, 0 to 8 kHz"
    )
    publish(LIVE, packet(0, stream=3, high_hz=24_000.0))
    expect(page.get_by_role("img")).to_have_attribute("aria-label", re.compile("0 to 24 kHz"))


def test_detections_and_scores_are_text_at_their_time(open_page: Open, publish: Publish, leases: Subscriber) -> None:
    page = open_page(VIEW)
    wait_until(lambda: leases.heard)
    # only what is new is read out
    late_s = (datetime.now(UTC) - BEGIN).total_seconds() - 10
    for sequence in range(50):
        publish(LIVE, packet(sequence, late_s=late_s))
    wait_columns(page, 500)
    at = (BEGIN + timedelta(seconds=late_s + 5)).isoformat()
    scores = {"schema_version": 1, "at": at, "duration_s": 1.0, "model": "home", "scores": {MARKUP: 0.9, "cat": 0.07}}
    publish("edgeaudio/dock/porch/detection", dog(1, label=MARKUP, at=at))
    expect(page.locator("#said")).to_contain_text(f"Heard: {MARKUP}, score 0.90, at ")
    publish("edgeaudio/dock/porch/scores", scores)
    rows = page.locator("table.scores tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(f"{MARKUP}0.90detected")
    expect(rows.last).to_contain_text("cat0.07")
    publish(LIVE, packet(50, late_s=late_s))
    wait_columns(page, 510)
    line = {colour(page, column, 0.25, 510) for column in range(245, 256)}
    assert (79, 227, 255, 255) in line
    # read out again only after a while, and then the newest together
    for number in (2, 3):
        publish("edgeaudio/dock/porch/detection", dog(number, label=f"cat{number}", at=at))
    expect(page.locator("#said")).to_have_text(re.compile("cat2.*; cat3"), timeout=8000)


def test_two_tabs_share_a_lease_and_closing_both_ends_it(open_page: Open, publish: Publish, leases: Subscriber) -> None:
    first = open_page(VIEW)
    second = first.context.new_page()
    wait_until(lambda: leases.heard)
    second.goto(first.url)
    began_s = time.monotonic()
    publish(LIVE, packet(0))
    wait_columns(first, 10)
    wait_until(lambda: len(leases.heard) >= 3, 30)
    assert time.monotonic() - began_s > 1.5 * RENEW_S
    first.close()
    number = len(leases.heard)
    wait_until(lambda: len(leases.heard) > number, 3 * RENEW_S)
    publish(LIVE, packet(1))
    expect(second.locator("canvas")).to_have_attribute("data-columns", re.compile("10|20"))
    second.close()
    number, ended_s = len(leases.heard), time.monotonic()
    # for as long as two renewals would have taken; one may have been on its way
    wait_until(lambda: time.monotonic() - ended_s > 2 * RENEW_S + 1, 20)
    assert len(leases.heard) <= number + 1


def test_a_refusal_is_shown(open_page: Open, publish: Publish, leases: Subscriber) -> None:
    page = open_page(VIEW)
    wait_until(lambda: leases.heard)
    answer: dict[str, Any] = {"schema_version": 1, "topic": SET, "ok": False, "error": MARKUP}
    publish("edgeaudio/dock/command", answer)
    expect(page.locator("#state")).to_have_text(f"dock refuses to show porch: {MARKUP}")


def test_it_can_be_found_paused_and_used_with_the_keyboard(
    open_page: Open, publish: Publish, leases: Subscriber
) -> None:
    publish(
        "edgeaudio/dock/porch/status",
        {"schema_version": 1, "state": "listening", "since": BEGIN.isoformat()},
        retain=True,
    )
    page = open_page("?view=devices")
    page.get_by_role("link", name="porch live").press("Enter")
    expect(page.get_by_role("heading", name="porch on dock, live")).to_be_visible()
    pause = page.get_by_role("button", name="Pause")
    pause.press("Enter")
    expect(pause).to_have_attribute("aria-pressed", "true")
    wait_until(lambda: leases.heard)
    publish(LIVE, packet(0))
    wait_columns(page, 10)
    assert colour(page, 5, 0.25, 10) != LIGHTEST
    pause.press("Enter")
    assert colour(page, 5, 0.25, 10) == LIGHTEST
    open_page("?view=live").get_by_role("link", name="dock: porch").click()


def test_with_reduced_motion_the_picture_stands(open_page: Open, publish: Publish, leases: Subscriber) -> None:
    page = open_page(VIEW, reduced_motion="reduce")
    wait_until(lambda: leases.heard)
    for sequence in range(10):
        publish(LIVE, packet(sequence))
    wait_columns(page, 100)
    assert colour(page, 50, 0.25, 1500) == LIGHTEST
    publish(LIVE, packet(10))
    wait_columns(page, 110)
    assert colour(page, 50, 0.25, 1500) == LIGHTEST
    assert colour(page, 250, 0.25, 1500) != LIGHTEST


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_page: Open, publish: Publish, leases: Subscriber, scheme: str) -> None:
    page = open_page(VIEW, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    wait_until(lambda: leases.heard)
    publish(LIVE, packet(0))
    wait_columns(page, 10)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_a_column_takes_no_time(open_page: Open, publish: Publish, leases: Subscriber) -> None:
    page = open_page(VIEW)
    spent_ms = page.evaluate(
        """async (bytes) => {
          const { Ring, decode } = await import("./spectrogram.js");
          const packet = decode(new Uint8Array(bytes).buffer), ring = new Ring(packet), began = performance.now();
          for (let count = 0; count < 1000; count += 1) ring.put(packet);
          ring.context.getImageData(0, 0, 1, 1);
          return (performance.now() - began) / 10_000;
        }""",
        list(packet(0)),
    )
    assert spent_ms < 0.1, f"{spent_ms} ms a column"
