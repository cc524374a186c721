"""Every view of the page for everybody: axe-core, the keyboard alone, narrow, enlarged, without motion."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.test_page import MARKUP, NOW_MS, at, fill
from dashboard.test_media_http import wait_for_files, wait_for_media
from dashboard.test_with_broker import dog
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard
from support.published_media import MediaPublisher, clip, picture, tone
from support.waiting import wait_until

import edgeaudio.dashboard

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
Publish = Callable[..., None]
AXE = Path(__file__).parents[2] / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
PAGE = Path(edgeaudio.dashboard.__file__).parent / "static" / "page.js"
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
FOCUSABLE = "a[href], button, input, select, summary, textarea, audio[controls], [tabindex='0']"


def views() -> list[str]:
    """Return the names of the router: a view that is added is tested too."""
    (names,) = re.findall(r"const views = \{([^}]*)\}", PAGE.read_text())
    found = [name.partition(":")[0].strip() for name in names.split(",") if name.strip()]
    assert {"devices", "history", "event", "live"} <= set(found)
    return found


VIEWS = views()


@pytest.fixture
def filled(publish: Publish, served: RunningDashboard, broker: BrokerProcess) -> None:
    """All that views show: trouble, gaps, events of several labels, one that goes on, a clip."""
    fill(publish)
    wait_for_media(served)
    with MediaPublisher(broker.port) as agent:
        agent.send(clip(tone(440)), "audio/ogg", "e1", source="attic/porch")
        agent.send(picture(), "image/jpeg", "e1", source="attic/porch", plot=[0.1, 0.9])
        wait_for_files(served, 2)
    for number in (1, 2, 3, 7):
        label = "cat" if number == 2 else MARKUP if number == 3 else "dog"
        publish("edgeaudio/attic/porch/detection", dog(number, label=label, at=at(NOW_MS - number * 60_000)))
    publish("edgeaudio/attic/porch/enabled", b"ON", retain=True)
    for label in ("cat", "dog"):
        publish(f"edgeaudio/attic/porch/threshold/{label}", b"0.5", retain=True)
    publish("edgeaudio/attic/porch/snooze/cat", at(NOW_MS + 3_600_000).encode(), retain=True)
    publish("edgeaudio/attic/porch/detection", dog(8, id="e1", kind="offset", at=at(NOW_MS - 50_000)))
    wait_until(lambda: len(served.get("/api/events").json()["events"]) == 4)


def open_view(open_page: Open, view: str, **options: Any) -> Page:
    page = open_page(f"?view={view}&device=attic&source=porch&id=e1", **options)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("live")
    if view == "source":
        expect(page.get_by_role("button", name="End the snooze of cat")).to_be_visible()
    for details in page.locator("details").all():
        details.locator("summary").first.click()
    return page


def wait_scores(page: Page, publish: Publish) -> None:
    """Publish scores again and again: those before the dashboard watches the source are lost."""
    scores = {"schema_version": 1, "at": at(NOW_MS), "duration_s": 1.0, "model": "home", "scores": {MARKUP: 0.9}}

    def are_shown() -> bool:
        publish("edgeaudio/attic/porch/scores", scores)
        return bool(page.locator("table.scores tbody tr").count())

    wait_until(are_shown, 10)


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.usefixtures("filled")
def test_axe_finds_nothing(open_page: Open, publish: Publish, scheme: str, viewport: dict[str, int]) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make test-browser` brings it, where npm is")
    found = []
    for view in VIEWS:
        page = open_view(open_page, view, color_scheme=scheme, viewport=viewport, reduced_motion="reduce")
        if view == "live":
            wait_scores(page, publish)
        page.evaluate(AXE.read_text())
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found += [
            f"{view}: {violation['id']} ({violation['impact']}): {one['target']} {one['failureSummary']}"
            for violation in result["violations"]
            for one in violation["nodes"]
        ]
    assert found == []


@pytest.mark.usefixtures("filled")
def test_the_keyboard_reaches_all_of_every_view_and_shows_where_it_is(open_page: Open) -> None:
    for view in VIEWS:
        page = open_view(open_page, view)
        wanted: int = page.evaluate(
            """(focusable) => {
              const isStop = (one) => one.tabIndex >= 0 && !one.disabled && one.type !== "hidden";
              const isShown = (one) => isStop(one) && one.checkVisibility();
              const shown = [...document.querySelectorAll(focusable)].filter(isShown);
              shown.forEach((one, index) => { one.dataset.stop = index; });
              document.activeElement.blur();
              return shown.length;
            }""",
            FOCUSABLE,
        )
        reached = set()
        for _ in range(wanted + 30):  # a field for a date and time has stops of its own
            page.keyboard.press("Tab")
            stop, name, outlined, visible = page.evaluate(
                """() => {
                  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
                  return [
                    one.dataset.stop,
                    one.ariaLabel || one.innerText || one.labels?.[0]?.innerText || one.getAttribute("aria-labelledby"),
                    style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
                    box.width > 0 && box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight];
                }"""
            )
            if stop is None:
                continue
            assert (bool(name), outlined, visible) == (True, True, True), (view, stop, name)
            reached.add(int(stop))
            if len(reached) == wanted:
                break
        assert reached == set(range(wanted)), view


@pytest.mark.usefixtures("filled")
def test_nothing_has_to_be_scrolled_sideways_at_320_pixels(open_page: Open) -> None:
    # as wide as a window of 1280 pixels at 400 %
    for view in VIEWS:
        page = open_view(open_page, view, viewport={"width": 320, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, view


@pytest.mark.usefixtures("filled")
def test_text_can_be_twice_as_large(open_page: Open) -> None:
    for view in VIEWS:
        page = open_view(open_page, view, viewport={"width": 640, "height": 800})
        page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, view
        cut = page.evaluate(
            """() => [...document.querySelectorAll("h1, h2, p, label, button, nav a, td, dd, legend, summary")]
              .filter((one) => one.checkVisibility() && getComputedStyle(one).overflow === "hidden")
              .filter((one) => one.scrollHeight > one.clientHeight + 1).map((one) => one.textContent)"""
        )
        assert cut == [], view


@pytest.mark.usefixtures("filled")
def test_with_reduced_motion_nothing_moves(open_page: Open, publish: Publish) -> None:
    moving = open_view(open_page, "devices", reduced_motion="no-preference")
    still = open_view(open_page, "devices", reduced_motion="reduce")
    for page in (moving, still):
        page.evaluate("addEventListener('animationstart', () => { window.moved = true; }, true)")
    publish("edgeaudio/attic/porch/detection", dog(9, label="owl"))
    for page in (moving, still):
        expect(page.get_by_role("link", name="owl")).to_be_visible()
    moving.wait_for_function("window.moved")
    assert still.evaluate("window.moved === undefined && document.getAnimations().length === 0")
