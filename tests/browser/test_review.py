"""Sounds are judged in a browser: several at once, one after the other by keys, and what was missed while watching."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from browser.test_accessibility import AXE
from browser.test_live_view import BEGIN, LIVE, VIEW, leases, packet, wait_columns
from browser.test_page import NOW_MS, at
from dashboard.test_with_broker import dog
from support.brokers import Subscriber
from support.dashboards import RunningDashboard
from support.waiting import wait_until

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["leases"]
Open = Callable[..., "Page"]
Publish = Callable[..., None]


def fill(publish: Publish, served: RunningDashboard, count: int) -> None:
    for number in range(1, count + 1):
        publish("edgeaudio/dock/porch/detection", dog(number, at=at(NOW_MS - 60_000 + 1000 * number)))
    wait_until(lambda: len(events(served)) == count)


def events(served: RunningDashboard, query: str = "limit=500") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = served.get(f"/api/events?{query}").json()["events"]
    return found


def test_three_are_marked_wrong_at_once_and_undone(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    fill(publish, served, 8)
    page = open_page("?view=history")
    chart = page.locator("figcaption")
    expect(chart).to_have_text(re.compile("^8 sounds"))
    boxes = page.get_by_role("region", name="Sounds").get_by_role("checkbox")
    wrong = page.get_by_role("button", name="Wrong")
    expect(wrong).to_be_disabled()
    boxes.nth(1).check()
    boxes.nth(3).click(modifiers=["Shift"])
    expect(page.get_by_text("3 chosen")).to_be_visible()
    wrong.click()
    expect(page.get_by_role("status").filter(has_text="3 sounds marked wrong.")).to_be_visible()
    expect(chart).to_have_text(re.compile("^5 sounds"))
    expect(page.locator("td .verdict.wrong")).to_have_count(3)
    expect(page.get_by_text("none chosen")).to_be_visible()
    assert [event["id"] for event in events(served, "verdict=wrong")] == ["e7", "e6", "e5"]
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undone: 3 sounds as before.")).to_be_focused()
    expect(chart).to_have_text(re.compile("^8 sounds"))
    expect(page.locator("td .verdict")).to_have_count(0)
    assert len(events(served, "verdict=unreviewed")) == 8


def test_another_label_is_offered_and_the_verdict_is_a_filter(
    open_page: Open, publish: Publish, served: RunningDashboard
) -> None:
    fill(publish, served, 3)
    page = open_page("?view=history")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Other label…").click()
    dialog = page.get_by_role("dialog", name="Another label")
    field = dialog.get_by_label("What was it?")
    expect(field).to_be_focused()
    expect(dialog.locator("datalist option")).to_have_attribute("value", "dog")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Other label…").click()
    field.fill("<b>cat</b>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="3 sounds marked as <b>cat</b>.")).to_be_visible()
    page.get_by_label("Verdict").select_option("other label")
    page.get_by_role("button", name="Search").click()
    expect(page).to_have_url(re.compile("verdict=other"))
    expect(page.locator("td .verdict")).to_have_text(["is <b>cat</b>"] * 3)
    page.get_by_label("Verdict").select_option("none yet")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No sound is in the history for this filter.")).to_be_visible()


def test_one_after_the_other_is_judged_by_keys(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    fill(publish, served, 4)
    publish("edgeaudio/dock/porch/detection", dog(9, label="cow", at=at(NOW_MS)))
    wait_until(lambda: len(events(served)) == 5)
    page = open_page("?view=history&label=dog")
    page.get_by_role("link", name="dog").first.click()
    expect(page.get_by_text("Verdict: none yet")).to_be_visible()
    page.keyboard.press("r")
    expect(page.get_by_role("status").filter(has_text="1 sound marked right.")).to_be_visible()
    expect(page.get_by_text("Verdict: right (local, ")).to_be_visible()
    expect(page.get_by_role("region", name="Changes of the verdict")).to_contain_text("local")
    page.keyboard.press("n")
    expect(page).to_have_url(re.compile("id=e3"))
    page.get_by_label("Go on to the next after a verdict").check()
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile("id=e2"))
    expect(page.get_by_role("status").filter(has_text="dog: 1 sound marked wrong.")).to_be_visible()
    # while somebody types, and where they are switched off, keys do nothing
    page.keyboard.press("o")
    page.get_by_label("What was it?").fill("wrong")
    page.keyboard.press("Escape")
    page.get_by_label("Keys R, W, O, C and N").uncheck()
    page.keyboard.press("w")
    page.keyboard.press("n")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undone: 1 sound as before.")).to_be_visible()
    assert {event["id"]: event["verdict"] for event in events(served)} == {
        "e9": None,
        "e4": "right",
        **dict.fromkeys(("e3", "e2", "e1")),
    }
    # of the list that it came from: no cow
    page.get_by_label("Keys R, W, O, C and N").check()
    for event_id in ("e1", "e3"):
        page.keyboard.press("r")
        expect(page).to_have_url(re.compile(f"id={event_id}"))
        expect(page.get_by_text("Verdict: none yet")).to_be_visible()
    page.keyboard.press("r")
    expect(page.get_by_text("Verdict: right")).to_be_visible()
    expect(page).to_have_url(re.compile("id=e3"))
    page.get_by_role("link", name="To the list").click()
    expect(page).to_have_url(re.compile("view=history.*label=dog"))


def test_a_missed_sound_is_marked_in_the_live_view(
    open_page: Open, publish: Publish, served: RunningDashboard, leases: Subscriber
) -> None:
    page = open_page(VIEW)
    wait_until(lambda: leases.heard)
    for first in (0, 40):  # of a slow browser, so many are dropped
        for sequence in range(first, first + 40):
            publish(LIVE, packet(sequence))
        wait_columns(page, 10 * first + 400)
    label = page.get_by_label("What was missed?")
    expect(label).to_be_hidden()
    page.keyboard.press("m")
    expect(label).to_be_focused()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    box = page.locator(".selection").first
    stage = page.locator("canvas").bounding_box()
    assert stage is not None
    left = min(120, stage["width"] * 0.24)
    plot = stage["width"] - left - 1
    place = box.bounding_box()
    assert place is not None
    assert place["width"] == pytest.approx(plot * 5 / 30, abs=3)
    assert place["x"] + place["width"] == pytest.approx(stage["x"] + stage["width"], abs=4)
    label.fill("owl")
    page.get_by_label("Lasted, seconds").fill("2.5")
    page.get_by_role("button", name="Mark", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Marked as missed: owl, 2.5 s at ")).to_be_visible()
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "false")
    (sound,) = served.get("/api/missed").json()["sounds"]
    assert (sound["label"], sound["device"], sound["source"]) == ("owl", "dock", "porch")
    assert sound["end"] - sound["begin"] == 2500
    assert abs(1000 * BEGIN.timestamp() - sound["begin"]) < 60_000
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undone")).to_be_visible()
    assert served.get("/api/missed").json()["sounds"] == []
    # drawn with the pointer: from 10 s to 7 s before the edge
    page.get_by_role("button", name="Mark a missed sound").click()
    label.fill("owl")
    page.evaluate("scrollTo(0, 0)")
    stage = page.locator("canvas").bounding_box()
    assert stage is not None
    x = [stage["x"] + left + plot * (30 - s) / 30 for s in (10, 7)]
    page.mouse.move(x[0], stage["y"] + 40)
    page.mouse.down()
    page.mouse.move(x[1], stage["y"] + 60, steps=3)
    page.mouse.up()
    expect(page.get_by_label("Began, seconds before the right edge")).to_have_value(re.compile("^(9.9|10|10.0|10.1)$"))
    expect(page.get_by_label("Lasted, seconds")).to_have_value(re.compile("^(2.9|3|3.0|3.1)$"))
    page.get_by_role("button", name="Mark", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="Marked as missed")).to_be_visible()
    (sound,) = served.get("/api/missed").json()["sounds"]
    assert 2800 <= sound["end"] - sound["begin"] <= 3200


def test_missed_sounds_are_listed_and_removed(open_page: Open, served: RunningDashboard) -> None:
    for label in ("owl", "<b>fox</b>"):
        sound = {"device": "dock", "source": "porch", "label": label, "begin": NOW_MS - 5000, "end": NOW_MS}
        assert served.post("/api/missed/add", sound).status == 200
    page = open_page("?view=history&verdict=missed")
    rows = page.get_by_role("region", name="Missed sounds").locator("tbody tr")
    expect(rows).to_contain_text(["<b>fox</b>", "owl"])
    expect(page.locator("figcaption")).to_contain_text("0 sounds of every verdict but wrong by the hour")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("status").filter(has_text="2 sounds removed.")).to_be_visible()
    expect(rows.first).to_be_hidden()
    assert served.get("/api/missed").json()["sounds"] == []
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("status").filter(has_text="Undone: 2 sounds as before.")).to_be_visible()
    expect(rows.first).to_be_visible()
    assert len(served.get("/api/missed").json()["sounds"]) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(
    open_page: Open, publish: Publish, served: RunningDashboard, leases: Subscriber, scheme: str
) -> None:
    publish("edgeaudio/dock/porch/detection", dog(1, label="x" * 200, at=at(NOW_MS)))
    wait_until(lambda: events(served))
    for query in ("?view=history", "?view=event&device=dock&source=porch&id=e1", VIEW):
        page = open_page(query, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        button = page.get_by_role("button", name="Mark a missed sound" if query == VIEW else "Wrong")
        expect(button).to_be_visible()
        if query == VIEW:
            publish("edgeaudio/dock/porch/detection", dog(2, label="x" * 200, at=at(round(1000 * time.time()))))
            expect(page.locator("#said")).to_contain_text("xxx")
            button.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_axe_finds_nothing_in_what_opens(
    open_page: Open, publish: Publish, served: RunningDashboard, leases: Subscriber
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make test-browser` brings it, where npm is")
    fill(publish, served, 3)
    sound = {"device": "dock", "source": "porch", "label": "owl", "begin": NOW_MS - 5000, "end": NOW_MS}
    assert served.post("/api/missed/add", sound).status == 200
    page = open_page("?view=history&verdict=missed")
    page.get_by_label("All on this page").check()
    found = violations(page)
    page = open_page("?view=history")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Wrong").click()
    expect(page.get_by_role("status").filter(has_text="3 sounds marked wrong.")).to_be_visible()
    found += violations(page)
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Other label…").click()
    found += violations(page)
    page = open_page("?view=event&device=dock&source=porch&id=e1")
    expect(page.get_by_role("region", name="Changes of the verdict")).to_be_visible()
    found += violations(page)
    page = open_page(VIEW)
    page.get_by_role("button", name="Mark a missed sound").click()
    found += violations(page)
    assert found == []


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{violation['id']}: {one['target']} {one['failureSummary']}"
        for violation in result["violations"]
        for one in violation["nodes"]
    ]
