"""Logging in, who sees what, and the page behind a proxy, in an ingress and in a frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser.test_accessibility import AXE
from support.brokers import BrokerProcess
from support.dashboard_access import CHEAP, PASSWORD
from support.dashboards import RunningDashboard
from support.ports import free_port
from support.proxies import ingress_before, nginx_before, page_with_frame

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

USERS = f"""
[dashboard.users.anna]
password = '{CHEAP}'
role = "owner"
[dashboard.users.rita]
password = '{CHEAP}'
"""
PROXY = 'trusted_proxies = ["127.0.0.1"]\n'
Open = Callable[..., "Page"]


@pytest.fixture
def serve(broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard]) -> Callable[..., RunningDashboard]:
    broker.start()
    return lambda settings="", **more: run_dashboard(broker, settings=settings + USERS, **more).start()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Open an address; at the end of the test nothing may have been blocked or have failed in a script."""
    complaints: list[str] = []
    with ExitStack() as stack:

        def make(address: str, **options: Any) -> Page:
            context = chromium.new_context(**options)
            stack.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(10_000)
            page.on(
                "console",
                lambda message: (
                    complaints.append(f"{message.text} {message.location}") if message.type == "error" else None
                ),
            )
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            return page

        yield make
    # what a page cannot do silently: ask without a login, or a dashboard that is away
    expected = ("401 (Unauthorized)", "HTTP Authentication failed", "ERR_CONNECTION_REFUSED")
    assert [text for text in complaints if not any(known in text for known in expected)] == []


def log_in(page: Any, user: str = "anna") -> None:
    page.get_by_label("Name").fill(user)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def test_the_login_leads_back_to_the_view(serve: Callable[..., RunningDashboard], open_page: Open) -> None:
    served = serve()
    page = open_page(f"http://127.0.0.1:{served.port}/?view=history&label=dog")
    expect(page.get_by_role("heading", name="edgeaudio")).to_be_visible()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")
    expect(page.get_by_label("Name")).to_have_value("anna")
    log_in(page)
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    assert page.url.endswith("/?view=history&label=dog")
    expect(page.locator("#account")).to_have_text("anna")


def test_without_javascript_one_can_log_in(serve: Callable[..., RunningDashboard], open_page: Open) -> None:
    served = serve()
    page = open_page(f"http://127.0.0.1:{served.port}/login", java_script_enabled=False)
    log_in(page)
    expect(page.get_by_role("navigation", name="Views")).to_be_visible()
    assert page.request.get(f"http://127.0.0.1:{served.port}/api/me").json()["user"] == "anna"


def test_logging_out_ends_the_other_pages_too(serve: Callable[..., RunningDashboard], open_page: Open) -> None:
    served = serve()
    page = open_page(f"http://127.0.0.1:{served.port}/?view=account")
    log_in(page, "rita")
    expect(page.get_by_text("Role: reader.")).to_be_visible()
    expect(page.get_by_role("region", name="Sessions").locator("tbody tr")).to_have_count(1)
    other = page.context.new_page()
    other.goto(f"http://127.0.0.1:{served.port}/")
    expect(other.locator("#account")).to_have_text("rita")
    page.get_by_role("button", name="Log out everywhere").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    expect(other.get_by_role("button", name="Log in")).to_be_visible()  # its WebSocket is closed within seconds


def test_a_restart_logs_nobody_out(serve: Callable[..., RunningDashboard], open_page: Open) -> None:
    served = serve()
    page = open_page(f"http://127.0.0.1:{served.port}/")
    log_in(page)
    expect(page.locator("#account")).to_have_text("anna")
    assert served.stop() == 0
    served.start()
    page.reload()
    expect(page.locator("#account")).to_have_text("anna")


def test_the_public_sees_devices_and_a_way_to_log_in(serve: Callable[..., RunningDashboard], open_page: Open) -> None:
    served = serve("public = true\n")
    page = open_page(f"http://127.0.0.1:{served.port}/")
    expect(page.get_by_text("No agent has published anything")).to_be_visible()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    expect(page.get_by_role("link", name="Live")).to_be_hidden()
    expect(page.get_by_role("link", name="Metrics")).to_be_hidden()
    page.goto(f"http://127.0.0.1:{served.port}/?view=live&device=attic&source=porch")
    log_in(page, "rita")
    expect(page.get_by_role("heading", name="porch on attic, live")).to_be_visible()
    expect(page.get_by_role("link", name="Live", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_the_login_and_the_account(
    serve: Callable[..., RunningDashboard], open_page: Open, scheme: str
) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `make test-browser` brings it, where npm is")
    served = serve()
    page = open_page(f"http://127.0.0.1:{served.port}/login", color_scheme=scheme)
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    found = violations(page)
    log_in(page)
    page.get_by_role("link", name="anna").click()
    expect(page.get_by_role("region", name="Sessions")).to_be_visible()
    expect(page.locator("#connection")).to_have_text("live")
    assert found + violations(page) == []


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{each['id']}: {one['target']} {one['failureSummary']}"
        for each in result["violations"]
        for one in each["nodes"]
    ]


def test_eight_tabs_and_hundreds_of_pages_meet_no_limit(
    serve: Callable[..., RunningDashboard], open_page: Open
) -> None:
    served = serve()
    first = open_page(f"http://127.0.0.1:{served.port}/")
    log_in(first)
    asked: list[str] = []
    refused: list[str] = []
    context = first.context
    context.on("request", lambda request: asked.append(request.url))
    context.on("response", lambda answer: refused.append(answer.url) if answer.status == 429 else None)
    tabs = [context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"http://127.0.0.1:{served.port}/?view=history")
    opened = len(asked)
    for tab in tabs:
        expect(tab.locator("#connection")).to_have_text(re.compile("live|no connection"))
        for _ in range(5):
            tab.reload()
    assert refused == []
    print(f"eight tabs ask {opened} times, and {len(asked)} with five reloads of each")
    assert opened < 300  # the limit is 1,000 at once


def test_behind_nginx_under_a_path(serve: Callable[..., RunningDashboard], open_page: Open, tmp_path: Path) -> None:
    served = serve(PROXY)
    with nginx_before(served.port, tmp_path) as port:
        page = open_page(f"http://127.0.0.1:{port}/x?view=history")  # without the slash
        log_in(page)
        expect(page.locator("#account")).to_have_text("anna")
        expect(page.locator("#connection")).to_have_text(re.compile("^live$"))  # by its WebSocket
        assert page.url.startswith(f"http://127.0.0.1:{port}/x/")
        (cookie,) = page.context.cookies()
        assert cookie["path"] == "/x"
        page.get_by_role("link", name="anna").click()
        page.get_by_role("button", name="Log out", exact=True).click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()
        assert page.url == f"http://127.0.0.1:{port}/x/login"


def test_in_an_ingress_the_user_is_logged_in_already(serve: Callable[..., RunningDashboard], open_page: Open) -> None:
    served = serve(f'{PROXY}user_header = "X-Remote-User-Name"\nuser_role = "reader"\n')
    with ingress_before(served.port, "Bea") as port:
        page = open_page(f"http://127.0.0.1:{port}/panel")
        frame = page.frame_locator("iframe")
        expect(frame.locator("#account")).to_have_text("bea")
        expect(frame.locator("#connection")).to_have_text(re.compile("^live$"))
        frame.get_by_role("link", name="bea").click()
        expect(frame.get_by_text("Role: reader.")).to_be_visible()
        expect(frame.locator("#connection")).to_have_text(re.compile("^live$"))
        page.close()  # before what it asks is away


@pytest.mark.parametrize("is_allowed", [True, False])
def test_a_frame_of_another_site_is_as_the_settings_say(
    serve: Callable[..., RunningDashboard], chromium: Browser, is_allowed: bool
) -> None:
    # the outer page must be known before the dashboard, whose settings name it, and shows its port
    port = free_port()
    with page_with_frame(f"http://127.0.0.1:{port}/") as outer:
        allowed = outer if is_allowed else "http://other.example"
        served = serve(f'public = true\nframe_ancestors = ["{allowed}"]\n', port=port)
        page = chromium.new_page()
        page.goto(outer)
        text = page.frame_locator("iframe").get_by_text("No agent has published anything")
        if is_allowed:
            expect(text).to_be_visible()
        else:
            page.wait_for_function("document.querySelector('iframe').dataset.loaded === 'yes'")
            expect(text).to_have_count(0)
        assert served.get("/").status == 200
        page.close()
