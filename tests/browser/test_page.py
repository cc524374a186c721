"""Each view of the page, as somebody sees and uses it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from dashboard.test_with_broker import dog
from dashboard.values import PAYLOAD
from support.dashboards import RunningDashboard
from support.waiting import wait_until

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
Publish = Callable[..., None]
NOW_MS = round(time.time() * 1000)
MARKUP = "<img src=x onerror=alert(1)>"


def at(ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(ms / 1000))


def status(state: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {"schema_version": 1, "state": state, "reason": reason, "since": at(NOW_MS - 120_000)} | more


def fill(publish: Publish) -> None:
    publish("edgeaudio/attic/availability", b"online", retain=True)
    publish("edgeaudio/attic/porch/status", status("waiting", "unauthorized", detail="401"), retain=True)
    publish("edgeaudio/attic/hall/status", status("listening"), retain=True)
    publish("edgeaudio/shed/availability", b"offline", retain=True)
    publish("edgeaudio/shed/yard/status", status("listening"), retain=True)


def test_devices_show_state_reason_and_what_to_do(open_page: Open, publish: Publish) -> None:
    fill(publish)
    page = open_page()
    expect(page.get_by_text("1 of 2 devices online, 3 sources, 2 with trouble")).to_be_visible()
    rows = page.get_by_role("region", name="Sources").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.filter(has_text="porch")).to_contain_text("Check username and password of the source")
    expect(rows.filter(has_text="porch")).to_contain_text("waiting (unauthorized)")
    expect(rows.filter(has_text="yard")).to_contain_text("offline")
    expect(rows.last).to_contain_text("hall")  # trouble comes first
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.get_by_label("Times in")).to_have_value("Asia/Calcutta")


def test_a_change_of_state_appears_by_itself(open_page: Open, publish: Publish) -> None:
    fill(publish)
    page = open_page()
    publish("edgeaudio/attic/porch/status", status("listening", since=at(NOW_MS)), retain=True)
    expect(page.get_by_text("1 with trouble")).to_be_visible()


def test_thresholds_that_have_risen_are_shown(open_page: Open, publish: Publish) -> None:
    risen = {"dog": {"from": 0.99, "to": 0.998, "since": at(NOW_MS)}, MARKUP: {"from": 0.4, "to": 0.6, "since": at(0)}}
    report = {"schema_version": 1, "at": at(NOW_MS), "sources": {"porch": status("listening", raised=risen)}}
    publish("edgeaudio/attic/health", report, retain=True)
    page = open_page()
    expect(page.get_by_role("row").filter(has_text="porch")).to_contain_text("the thresholds of 2 labels have risen")
    page.get_by_role("link", name="porch settings").click()
    items = page.get_by_role("listitem")
    expect(items.filter(has_text="dog")).to_contain_text(re.compile(r"dog: from 0\.990 to 0\.998, since \d+ \w+ 20"))
    expect(items.filter(has_text=MARKUP)).to_contain_text("from 0.400 to 0.600, since 1 Jan 1970")


def test_the_filter_of_devices_is_an_address(open_page: Open, publish: Publish) -> None:
    fill(publish)
    page = open_page()
    page.get_by_label("Name").fill("attic")
    page.get_by_label("Only with trouble").check()
    page.get_by_role("button", name="Show").click()
    rows = page.get_by_role("region", name="Sources").locator("tbody tr")
    expect(rows).to_have_count(1)
    query = page.url.partition("/?")[2]
    again = open_page(f"?{query}")
    expect(again.get_by_role("region", name="Sources").locator("tbody tr")).to_have_count(1)
    expect(again.get_by_label("Name")).to_have_value("attic")


def test_a_detection_appears_by_itself_and_leads_to_its_event(open_page: Open, publish: Publish) -> None:
    page = open_page()
    expect(page.locator("#connection")).to_have_text("live")
    publish("edgeaudio/dock/porch/detection", dog(1, members={"home": 0.91, "yamnet": 0.44}))
    expect(page.locator("tr.new")).to_have_count(1)
    page.reload()  # what was there before does not light up
    expect(page.get_by_role("link", name="dog")).to_be_visible()
    expect(page.locator("tr.new")).to_have_count(0)
    page.get_by_role("link", name="dog").click()
    expect(page.get_by_role("heading", name="dog")).to_be_visible()
    expect(page.get_by_text("not yet, or its offset was lost")).to_be_visible()
    expect(page.locator("dl")).to_contain_text("Score of each modelhome 0.9100, yamnet 0.4400")
    expect(page.locator("dl")).to_contain_text("21 Nov 2026, 02:21:15")  # in the zone of the browser
    expect(page.locator("#connection")).to_have_text("live")
    publish("edgeaudio/dock/porch/detection", dog(2, id="e1", kind="offset", duration_s=7.25, members={"home": 0.95}))
    expect(page.locator("dl")).to_contain_text("Lasted7.3 s")  # by itself
    expect(page.locator("dl")).to_contain_text("Score of each modelhome 0.9500")  # where the highest score is from


def test_a_few_sounds_are_drawn_attention_to_and_many_are_not(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#connection")).to_have_text("live")
    take = """([first, count]) => import("./connection.js").then(({ live }) => live.detections(Array.from(
        { length: count }, (_, number) => ({ number, device: "dock", source: "porch", id: `e${first + number}`,
          kind: "onset", label: "dog", score: 0.9, at: 0, duration_s: 0, test: false })), true))"""
    rows = page.locator("section tbody tr")
    page.evaluate(take, [0, 70])
    expect(rows).to_have_count(50)  # the newest
    expect(page.locator("section tbody tr.new")).to_have_count(0)
    page.evaluate(take, [100, 1])
    expect(page.locator("section tbody tr.new")).to_have_count(1)
    expect(rows).to_have_count(50)


def test_every_field_is_text(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    publish("edgeaudio/dock/porch/status", status("waiting", "refused", detail=MARKUP, codec=MARKUP), retain=True)
    publish("edgeaudio/dock/porch/detection", dog(1, label=MARKUP, model=MARKUP))
    wait_until(lambda: served.get("/api/events").json()["events"])
    page = open_page()
    expect(page.get_by_role("region", name="Sources")).to_contain_text(MARKUP)
    expect(page.get_by_role("link", name=MARKUP)).to_be_visible()
    for query in ("?view=history", "?view=event&device=dock&source=porch&id=e1", f"?view=history&label={MARKUP}"):
        page = open_page(query)
        expect(page.locator("main")).to_contain_text(MARKUP)
        assert page.locator("img").count() == 0
    page = open_page(f"?view={MARKUP}&device={MARKUP}")
    expect(page.get_by_role("heading", name="Devices")).to_be_visible()


def test_the_history_is_searched_by_address_and_paged(
    open_page: Open, publish: Publish, served: RunningDashboard
) -> None:
    for number in range(1, 121):
        publish("edgeaudio/dock/porch/detection", dog(number, label="cat" if number > 118 else "dog", at=at(NOW_MS)))
    wait_until(lambda: len(served.get("/api/events?limit=500").json()["events"]) == 120)
    page = open_page("?view=history")
    rows = page.get_by_role("region", name="Sounds").locator("tbody tr")
    expect(rows).to_have_count(100)
    expect(page.get_by_role("figure")).to_contain_text(re.compile("120 sounds by the hour, .*Asia/Calcutta"))
    page.get_by_role("link", name="Earlier sounds").click()
    expect(rows).to_have_count(20)
    page.get_by_role("textbox", name="Sound").fill("cat")
    page.get_by_role("button", name="Search").click()
    expect(rows).to_have_count(2)
    expect(open_page(f"?{page.url.partition('/?')[2]}").get_by_role("textbox", name="Sound")).to_have_value("cat")


def test_times_of_a_search_are_those_of_the_zone(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    publish("edgeaudio/dock/porch/detection", PAYLOAD)  # 02:21 in Kolkata
    wait_until(lambda: served.get("/api/events").json()["events"])
    page = open_page("?view=history")
    for first, last, count in (
        ("2026-11-21T02:21", "2026-11-21T02:22", 1),
        ("2026-11-20T20:51", "2026-11-20T20:52", 0),
    ):
        page.get_by_label("From", exact=True).fill(first)
        page.get_by_label("Until").fill(last)
        page.get_by_role("button", name="Search").click()
        page.wait_for_url("**from=*")
        expect(page.get_by_label("From", exact=True)).to_have_value(first)
        expect(page.get_by_role("region", name="Sounds").locator("tbody tr")).to_have_count(count)


def test_an_address_that_was_mangled_is_one_line(open_page: Open) -> None:
    page = open_page("?view=history&from=yesterday")
    expect(page.get_by_role("alert")).to_have_text("from: is no whole number")


def test_eight_tabs_are_live_and_survive_a_restart(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    first = open_page()
    pages = [first] + [first.context.new_page() for _ in range(7)]
    for page in pages[1:]:
        page.goto(first.url)
    publish("edgeaudio/dock/porch/detection", dog(1))
    for page in pages:
        expect(page.get_by_role("link", name="dog")).to_be_visible()
        page.evaluate("window.kept = true")
    served.stop()
    expect(first.locator("#connection")).to_contain_text("does not answer", timeout=15_000)
    served.start().wait_subscribed()
    publish("edgeaudio/dock/porch/detection", dog(2, label="cat"))
    for page in pages:
        expect(page.get_by_role("link", name="cat")).to_be_visible(timeout=30_000)
        assert page.evaluate("window.kept")


def test_where_websockets_are_refused_the_page_asks_and_says_so(open_page: Open, publish: Publish) -> None:
    page = open_page("?view=history")
    page.route_web_socket("**/api/live*", lambda socket: socket.close())
    page.goto(page.url.replace("history", "devices"))
    expect(page.locator("#connection")).to_have_text("live, asked every 5 s (the WebSocket is refused)")
    publish("edgeaudio/dock/porch/detection", dog(1))
    expect(page.get_by_role("link", name="dog")).to_be_visible(timeout=15_000)


def test_missing_detections_are_shown(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    fill(publish)
    publish("edgeaudio/attic/porch/detection", dog(1))
    publish("edgeaudio/attic/porch/detection", dog(4))
    wait_until(lambda: served.metric('edgeaudio_detections_missing{device="attic"}') == 2)
    expect(open_page().get_by_text("attic: 2 did not arrive, the latest: 2 to 3")).to_be_visible()


def test_news_of_the_fleet_leave_the_focus_where_it_is(open_page: Open, publish: Publish) -> None:
    def status(source: str, state: str) -> None:
        value = {"schema_version": 1, "state": state, "since": "2026-11-30T12:00:00Z"}
        publish(f"edgeaudio/attic/{source}/status", value, retain=True)

    status("porch", "listening")
    page = open_page()
    link = page.get_by_role("link", name="porch live")
    link.focus()
    status("gate", "stalled")  # is above it
    expect(page.get_by_text("stalled")).to_be_visible()
    expect(link).to_be_focused()
    status("porch", "silent")
    expect(page.get_by_text("silent")).to_be_visible()
    expect(link).to_be_focused()
    status("gate", "listening")
    expect(page.get_by_text("stalled")).to_have_count(0)
    expect(link).to_be_focused()


def test_all_of_it_works_with_the_keyboard(open_page: Open, publish: Publish) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="History")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    expect(page.get_by_role("link", name="History")).to_have_attribute("aria-current", "page")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(open_page: Open, publish: Publish, scheme: str) -> None:
    fill(publish)
    publish("edgeaudio/attic/porch/detection", dog(1, label="x" * 200))
    for query in ("", "?view=history"):
        page = open_page(query, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        expect(page.get_by_text("attic").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        assert dark is (scheme == "dark")
