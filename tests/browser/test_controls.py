"""The controls of a source in a browser: real agents obey, refuse, or do not answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from agent.conftest import model, run_agent
from dashboard.test_with_broker import dog
from support.agents import LABEL, Listener, RunningAgent
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard
from support.ports import free_port
from support.waiting import wait_until

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["model", "run_agent"]
Open = Callable[..., "Page"]
Publish = Callable[..., None]
Run = Callable[..., RunningAgent]
VIEW = "?view=source&device=testbox&source=porch"
ROOT = "edgeaudio/testbox/porch"


def source() -> str:
    return f'[sources.porch]\nurl = "rtsp+listen://127.0.0.1:{free_port()}/x"\n'


def test_a_threshold_is_changed_and_the_agent_s_answer_is_shown(
    open_page: Open, publish: Publish, broker: BrokerProcess, run_agent: Run
) -> None:
    run_agent(broker, source()).start()
    page = open_page(VIEW)
    answer = page.get_by_role("status").filter(has_text="threshold")
    threshold = page.get_by_label(f"Threshold of {LABEL}", exact=True)
    expect(threshold).to_have_value("0.65", timeout=20_000)
    threshold.fill("0.9")
    threshold.press("Enter")
    expect(answer).to_have_text(f"The threshold of {LABEL} is 0.9.")
    # by another client: it is shown, but what somebody types stays
    with Listener(broker.port, f"{ROOT}/#") as listener:
        wait_until(lambda: listener.of(f"{ROOT}/threshold/{LABEL}") == [b"0.9"])
        publish(f"{ROOT}/threshold/{LABEL}/set", b"0.8")
        expect(threshold).to_have_value("0.8")
        threshold.fill("7")
        publish(f"{ROOT}/threshold/{LABEL}/set", b"0.7")
        wait_until(lambda: listener.of(f"{ROOT}/threshold/{LABEL}")[-1] == b"0.7")
        page.get_by_role("button", name=f"Set the threshold of {LABEL}").click()
        expect(page.locator("#answer")).to_have_text("testbox refuses: a threshold is a number from 0.01 to 1, not '7'")
        expect(page.locator("#answer")).to_have_class("error")
        expect(threshold).to_have_value("0.7")


def test_snooze_cooldown_switch_and_test_with_the_keyboard(
    open_page: Open, broker: BrokerProcess, run_agent: Run
) -> None:
    run_agent(broker, source()).start()
    page = open_page(VIEW)
    answer = page.locator("#answer")
    with Listener(broker.port, f"{ROOT}/#") as listener:
        snooze = page.get_by_role("button", name=f"Snooze {LABEL}", exact=True)
        expect(snooze).to_be_visible(timeout=20_000)  # the agent has to start
        page.get_by_label(f"How long to snooze {LABEL}").select_option("8 h")
        snooze.press("Enter")
        expect(answer).to_have_text(f"{LABEL} is snoozed for 8 h.")
        end = page.get_by_role("button", name=f"End the snooze of {LABEL}")
        expect(end).to_be_focused()  # what had the focus is gone, and what took its place has it
        wait_until(lambda: listener.of(f"{ROOT}/snooze/{LABEL}"))
        end.press("Enter")
        expect(answer).to_have_text(f"{LABEL} is no longer snoozed.")
        expect(snooze).to_be_focused()

        cooldown = page.get_by_label(f"Cooldown of {LABEL}", exact=True)
        expect(cooldown).to_have_value("0")
        cooldown.fill("60")
        cooldown.press("Enter")
        expect(answer).to_have_text(f"After each {LABEL} there is none for 60 s.")
        wait_until(lambda: listener.of(f"{ROOT}/cooldown/{LABEL}") == [b"60.0"])

        page.get_by_role("button", name=f"Send a test detection of {LABEL}").press("Enter")
        expect(answer).to_have_text(f"A test detection of {LABEL} is sent.")
        assert listener.wait_detection("onset")["test"]

        listening = page.get_by_role("switch", name="Listening")
        expect(listening).to_be_checked()
        listening.press("Space")
        expect(answer).to_have_text("porch is switched off.")
        expect(listening).not_to_be_checked()
        listener.wait_state("porch", "off", "switched_off")
    page.get_by_role("link", name="Live").last.click()
    page.get_by_role("link", name="Settings of this source").click()
    expect(page.get_by_role("heading", name="porch on testbox")).to_be_visible()


def test_an_event_s_label_is_snoozed_where_it_was_heard(
    open_page: Open, publish: Publish, broker: BrokerProcess, run_agent: Run
) -> None:
    run_agent(broker, source()).start()
    publish(f"{ROOT}/detection", dog(1, label=LABEL, device="testbox"))
    publish("edgeaudio/dock/hall/detection", dog(2, label="<b>dog</b>"))
    page = open_page("?view=history")
    with Listener(broker.port, f"{ROOT}/#") as listener:
        wait_until(lambda: listener.of(f"{ROOT}/status"))
        button = f"Snooze 1 h: {LABEL} at testbox: porch"
        page.get_by_role("button", name=button).click()
        expect(page.locator("#answer")).to_have_text(f"{LABEL} at testbox: porch is snoozed for 1 h.")
        wait_until(lambda: listener.of(f"{ROOT}/snooze/{LABEL}"))
    page.get_by_role("link", name=LABEL).click()
    page.get_by_role("button", name=button).click()
    expect(page.locator("#answer")).to_have_text(f"{LABEL} at testbox: porch is snoozed for 1 h.")
    page = open_page("?view=devices")
    expect(page.get_by_text("1 label is snoozed; 0 sounds were withheld")).to_be_visible()
    page.get_by_role("link", name="porch settings").click()
    expect(page.get_by_role("button", name=f"End the snooze of {LABEL}")).to_be_visible()


def test_a_device_that_is_away_is_said_to_be(open_page: Open, publish: Publish) -> None:
    publish("edgeaudio/testbox/availability", b"offline", retain=True)
    publish(f"{ROOT}/threshold/<img src=x>", b"0.5", retain=True)
    publish(f"{ROOT}/threshold/dog", b"0.5", retain=True)
    page = open_page(VIEW)
    page.get_by_role("button", name="Set the threshold of dog").click()
    expect(page.locator("#answer")).to_have_text("Setting the threshold of dog…")
    expect(page.locator("#answer")).to_have_text("no answer within 10 s: testbox is offline", timeout=15_000)
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_reader_sees_what_is_in_force_and_is_offered_no_change(
    chromium: Browser, publish: Publish, broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard]
) -> None:
    proxy = 'trusted_proxies = ["127.0.0.1"]\nuser_header = "X-User"\nuser_role = "reader"\n'
    served = run_dashboard(broker, settings=proxy).start()
    publish("edgeaudio/testbox/porch/enabled", b"ON", retain=True)
    publish("edgeaudio/testbox/porch/threshold/dog", b"0.65", retain=True)
    publish("edgeaudio/testbox/porch/detection", dog(1, device="testbox"))
    headers = {"X-User": "anna", "X-Forwarded-For": "192.0.2.1"}
    context = chromium.new_context(extra_http_headers=headers)
    with closing(context):
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{served.port}/{VIEW}")
        expect(page.locator("tbody tr")).to_have_text("dog0.650")
        expect(page.get_by_role("switch", name="Listening")).to_be_checked()
        expect(page.get_by_role("switch", name="Listening")).to_be_disabled()
        assert page.get_by_role("button").count() == 0
        page.goto(f"http://127.0.0.1:{served.port}/?view=history")
        expect(page.get_by_role("link", name="dog")).to_be_visible()
        assert page.get_by_role("button", name="Snooze").count() == 0
        own = f"http://127.0.0.1:{served.port}"
        found = page.request.post(f"{own}/api/command", data={"device": "testbox"}, headers={**headers, "Origin": own})
        assert (found.status, "login" in found.json()["error"]) == (403, True)
