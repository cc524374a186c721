"""A real Chromium, a real dashboard, a real broker: `make test-browser`."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from dashboard.conftest import broker, run_dashboard
from dashboard.test_with_broker import publish
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard
from support.programs import require_program

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["broker", "publish", "run_dashboard"]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: the extra `browser` brings it")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 (an extra)

    program = require_program("chromium")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def served(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> RunningDashboard:
    return run_dashboard(broker).start().wait_subscribed()


@pytest.fixture
def silent() -> list[str]:
    """Complaints that no page can prevent: of what is away, cannot be asked, or cannot be decoded."""
    return ["ERR_CONNECTION_REFUSED", "400 (Bad Request)", "422 (Unprocessable"]


@pytest.fixture
def open_page(chromium: Browser, served: RunningDashboard, silent: list[str]) -> Iterator[Callable[..., Page]]:
    """Open a view; at the end of the test nothing may have been refused, run or asked from elsewhere."""
    complaints: list[str] = []
    contexts = []

    def make(query: str = "", **options: Any) -> Page:
        options = {"timezone_id": "Asia/Kolkata", "locale": "en-GB"} | options
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: complaints.extend(_foreign(request.url, served.port)))
        page.goto(f"http://127.0.0.1:{served.port}/{query}")
        return page

    yield make
    for context in contexts:
        context.close()
    assert [text for text in complaints if not any(known in text for known in silent)] == []


def _foreign(url: str, port: int) -> list[str]:
    return [] if url.startswith((f"http://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/")) else [url]
