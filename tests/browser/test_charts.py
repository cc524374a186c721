"""Charts in a browser: hours and days of a zone, what a bar leads to, scores, and who does not see them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from dashboard.test_with_broker import dog
from support.dashboards import RunningDashboard
from support.waiting import wait_until

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
Publish = Callable[..., None]
MARKUP = "<img src=x onerror=alert(1)>"


def publish_at(publish: Publish, served: RunningDashboard, *times: datetime, first: int = 1, **changes: object) -> None:
    for number, at in enumerate(times, first):
        publish("edgeaudio/dock/porch/detection", dog(number, at=at.isoformat(), **changes))
    wait_until(lambda: len(served.get("/api/events?limit=500").json()["events"]) == first - 1 + len(times))


def bars(page: Page) -> list[int]:
    """Counts of the bars, once the chart is there."""
    expect(page.get_by_role("figure")).to_be_visible()
    found: list[int] = page.locator("svg.bars a").evaluate_all("bars => bars.map((one) => Number(one.dataset.count))")
    return found


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", "2026-03-29", 23),
        ("Europe/Berlin", "2026-10-25", 25),
        ("Asia/Kolkata", "2026-10-25", 24),
        ("Australia/Lord_Howe", "2026-10-04", 24),  # of 23.5 h: the hour from 2 has 30 minutes
        ("America/St_Johns", "2026-11-01", 25),
    ],
)
def test_a_day_has_the_hours_of_the_chosen_zone(
    open_page: Open, publish: Publish, served: RunningDashboard, zone: str, day: str, hours: int
) -> None:
    local = ZoneInfo(zone)
    noon = datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=local)
    begin, end = ((noon + timedelta(days=days)).replace(hour=0).astimezone(UTC) for days in (0, 1))
    moment = timedelta(milliseconds=1)
    publish_at(publish, served, begin, begin + timedelta(hours=1) - moment, end - moment, end, begin - moment)
    query = f"?view=history&zone={zone}&from={begin.timestamp() * 1000:.0f}&until={end.timestamp() * 1000:.0f}"
    page = open_page(query, timezone_id="Pacific/Auckland")
    assert bars(page) == [2] + [0] * (hours - 2) + [1]
    expect(page.get_by_role("figure")).to_contain_text(re.compile(f"3 sounds by the hour, .*, {zone}"))
    expect(page.get_by_label("Times in")).to_have_value(zone)
    expect(page.get_by_label("From", exact=True)).to_have_value(f"{day}T00:00")
    page = open_page(f"{query}&by=day", timezone_id="Pacific/Auckland")
    # a day alone is shown by its hours, whatever is asked; three days are three bars
    assert len(bars(page)) == hours
    begin_ms, end_ms = ((at.timestamp() * 1000) for at in (begin - timedelta(hours=20), end + timedelta(hours=20)))
    page = open_page(f"?view=history&zone={zone}&by=day&from={begin_ms:.0f}&until={end_ms:.0f}")
    assert bars(page) == [1, 3, 1]
    page.get_by_role("link", name="by the hour").click()
    expect(page.get_by_role("figure")).to_contain_text("5 sounds by the hour")


def test_a_bar_leads_to_its_day_and_then_to_its_hour(
    open_page: Open, publish: Publish, served: RunningDashboard
) -> None:
    at = datetime(2026, 11, 20, 20, 51, 15, tzinfo=UTC)  # 02:21 of the next day in Kolkata
    publish_at(publish, served, at, at + timedelta(hours=3), at + timedelta(days=2))
    begin_ms, end_ms = ((at + timedelta(days=days)).timestamp() * 1000 for days in (-20, 9))
    page = open_page(f"?view=history&from={begin_ms:.0f}&until={end_ms:.0f}")
    assert sorted(bars(page))[-3:] == [0, 1, 2]
    page.locator('svg.bars a[data-count="2"]').click()
    expect(page.get_by_label("From", exact=True)).to_have_value("2026-11-21T00:00")
    expect(page.get_by_label("Until")).to_have_value("2026-11-22T00:00")
    expect(page.get_by_role("region", name="Sounds, the newest").locator("tbody tr")).to_have_count(2)
    assert bars(page) == [0, 0, 1, 0, 0, 1, *[0] * 18]
    # the same by the table, which is what a keyboard and a screen reader get
    page.get_by_text("As a table").press("Enter")
    rows = page.get_by_role("region", name="Sounds by the hour").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(re.compile("02:00.*1.*dog 1"))
    rows.first.get_by_role("link").press("Enter")
    expect(page.get_by_label("From", exact=True)).to_have_value("2026-11-21T02:00")
    assert bars(page) == [0, 1, 0, 0]  # quarters of an hour


def test_the_chosen_zone_is_in_the_address_and_remembered(
    open_page: Open, publish: Publish, served: RunningDashboard
) -> None:
    publish_at(publish, served, datetime(2026, 11, 20, 20, 51, 15, tzinfo=UTC))
    page = open_page("?view=event&device=dock&source=porch&id=e1")
    expect(page.locator("dl")).to_contain_text("21 Nov 2026, 02:21:15")
    page.get_by_label("Times in").select_option("America/New_York")
    page.wait_for_url("**zone=America%2FNew_York*")
    expect(page.locator("dl")).to_contain_text("20 Nov 2026, 15:51:15")
    # a link keeps it, and so does a new page without it
    page.get_by_role("link", name="History").click()
    page.wait_for_url("**view=history&zone=America%2FNew_York*")
    again = page.context.new_page()
    again.goto(f"http://127.0.0.1:{served.port}/?view=event&device=dock&source=porch&id=e1")
    expect(again.locator("dl")).to_contain_text("20 Nov 2026, 15:51:15")
    # an address goes before what is remembered, and one that names no zone is as if it named none
    again.goto(f"{again.url}&zone=UTC")
    expect(again.locator("dl")).to_contain_text("20 Nov 2026, 20:51:15")
    again.goto(again.url.replace("zone=UTC", "zone=Mars/Phobos"))
    expect(again.locator("dl")).to_contain_text("20 Nov 2026, 15:51:15")
    # an address of a zone by another name of its is understood
    expect(open_page("?view=devices&zone=Asia/Kolkata").get_by_label("Times in")).to_have_value("Asia/Kolkata")


def test_charts_follow_every_filter_the_score_too(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    at = datetime.now(UTC) - timedelta(minutes=20)
    publish_at(publish, served, *[at] * 4, score=0.95)
    publish_at(publish, served, *[at] * 3, first=5, score=0.949, label=MARKUP)
    page = open_page("?view=history")
    figure = page.get_by_role("figure")
    expect(figure).to_contain_text("7 sounds by the hour")
    expect(figure.locator("ul.legend li")).to_have_text(["dog 4", f"{MARKUP} 3"])
    assert sum(bars(page)) == 7
    page.get_by_label("Score from").fill("0.95")
    page.get_by_role("button", name="Search").click()
    expect(figure).to_contain_text("4 sounds with a score from 0.95 by the hour")
    expect(figure.locator("ul.legend")).to_have_count(0)
    page = open_page("?view=history")
    page.get_by_role("link", name=MARKUP).first.click()
    expect(page.get_by_role("figure")).to_contain_text("3 sounds by the hour")
    expect(page.get_by_role("textbox", name="Sound")).to_have_value(MARKUP)
    expect(open_page("?view=history&source=hall").get_by_role("figure")).to_contain_text("No sound in this time.")


def test_a_year_is_a_link_away(open_page: Open, publish: Publish, served: RunningDashboard) -> None:
    now = datetime.now(UTC)
    publish_at(publish, served, now - timedelta(days=300), now - timedelta(hours=30))
    page = open_page("?view=history")
    expect(page.get_by_role("figure")).to_contain_text("No sound in this time.")
    page.get_by_role("link", name="A year").click()
    expect(page.get_by_role("figure")).to_contain_text("2 sounds by the day")
    assert len(bars(page)) in {366, 367}
    expect(page.get_by_role("region", name="Sounds, the newest").locator("tbody tr")).to_have_count(2)
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("link", name="7 days")).to_have_attribute("aria-current", "true")
    expect(page.get_by_role("figure")).to_contain_text("1 sound by the day")
    expect(page.get_by_role("region", name="Sounds, the newest").locator("tbody tr")).to_have_count(1)


def test_beyond_ten_thousand_no_count_is_exact(open_page: Open, served: RunningDashboard) -> None:
    page = open_page("?view=history")
    page.route(
        "**/api/counts*",
        lambda route: route.fulfill(json={"labels": [["dog", [10_001, *[0] * 24]]], "others": [0] * 25}),
    )
    page.goto(page.url)
    expect(page.get_by_role("figure")).to_contain_text("over 10,000 sounds by the hour")
    page.get_by_text("As a table").click()
    expect(page.get_by_role("region", name="Sounds by the hour")).to_contain_text("over 10,000")


def test_an_hour_of_a_day_with_two_offsets_says_which(
    open_page: Open, publish: Publish, served: RunningDashboard
) -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in summer time
    publish_at(publish, served, first, first + timedelta(hours=1))
    query = f"from={(first.timestamp() - 3600) * 1000:.0f}&until={(first.timestamp() + 72_000) * 1000:.0f}"
    page = open_page(f"?view=history&zone=Europe/Berlin&{query}")
    assert sum(bars(page)) == 2
    titles = page.locator('svg.bars a[data-count="1"] title').all_text_contents()
    assert [re.findall("02:00.*(CEST|CET|GMT[+]2|GMT[+]1)", title) for title in titles] in (
        [["CEST"], ["CET"]],
        [["GMT+2"], ["GMT+1"]],
    )
