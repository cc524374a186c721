"""Whatever a broker sends, the page shows as text: markup in every field of every message, in every view."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from dashboard.test_with_broker import dog
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard
from support.waiting import wait_until
from test_contracts import AT, HEALTH  # the report with every field set
from wire.test_payloads import EVENT, STATUS

from edgeaudio.sinks.mqtt import messages
from edgeaudio.sinks.mqtt.health_payload import health_values
from edgeaudio.sinks.mqtt.topics import Topics
from edgeaudio.types import LiveScores, Message

pytest.importorskip("playwright", reason="playwright is not installed: the extra `browser` brings it")

from browser.test_accessibility import VIEWS
from playwright.sync_api import expect

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[..., "Page"]
Publish = Callable[..., None]
ATTACK = "\"'></script><img src=x onerror=alert(1)><svg onload=alert(2)>javascript:alert(3)//../../%2e%2e/{{7*7}}"
TOPICS = Topics("edgeaudio", "dock")
MESSAGES = [
    messages.status(TOPICS, STATUS),
    messages.health(TOPICS, health_values(HEALTH)),
    messages.detection(TOPICS, EVENT, seq_epoch="a1", seq=7),
    messages.live_scores(TOPICS, LiveScores("porch", "home", AT, 1.5, {"dog": 0.9, "cat": 0.06})),
    messages.command_result(TOPICS, f"{TOPICS.live('porch')}/set", AT, "too many"),
    messages.snooze(TOPICS, "porch", "dog", AT),
]


def attacked(value: Any) -> Iterator[Any]:
    """Return copies of a value, each with the attack in the place of one text, of one name or of any other leaf."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {ATTACK if name == key else name: each for name, each in value.items()}
            for changed in attacked(inner):
                yield value | {key: changed}
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            for changed in attacked(inner):
                yield [*value[:place], changed, *value[place + 1 :]]
    else:
        yield ATTACK


def attacks(message: Message) -> Iterator[bytes]:
    try:
        value = json.loads(message.payload)
    except ValueError:  # some are plain words
        value = ""
    for number, changed in enumerate(attacked(value)):
        if isinstance(changed, dict) and isinstance(value, dict) and "id" in value and changed.get("id") == value["id"]:
            changed["id"] = f"e{number}"  # each an event of its own
        yield json.dumps(changed).encode() if isinstance(changed, dict) else str(changed).encode()


def test_no_field_of_any_message_becomes_markup_address_or_request(
    open_page: Open, publish: Publish, served: RunningDashboard, silent: list[str]
) -> None:
    silent += ["404 (Not Found)", "response code: 403"]  # there is no such event, nor such a source
    publish("edgeaudio/dock/availability", b"online", retain=True)
    sent = [(message.topic, payload, message.retain) for message in MESSAGES for payload in attacks(message)]
    assert len(sent) > 100
    for topic, payload, retain in sent:
        publish(topic, payload, retain=retain)
    publish("edgeaudio/dock/porch/detection", dog(1, id=ATTACK[:100], label=ATTACK, model=ATTACK))
    publish("edgeaudio/dock/porch/detection", dog(2, id="last", label=ATTACK, model=ATTACK))
    wait_until(lambda: served.get("/api/events/dock/porch/last").status == 200, 20)
    queries = [f"?view={view}&device=dock&source=porch&id=last" for view in VIEWS]
    queries += [
        f"?view={view}&device={ATTACK}&source={ATTACK}&id={ATTACK}&label={ATTACK}&zone={ATTACK}" for view in VIEWS
    ]
    for query in queries:
        page = open_page(query)
        expect(page.locator("h1")).to_be_visible()
        for topic, payload, retain in sent:
            if not retain:  # while the page is open, too
                publish(topic, payload)
        page.wait_for_timeout(300)
        planted = page.locator("main img[src=x], main svg[onload], main script, [onerror], a[href^='javascript']")
        assert planted.count() == 0, query
    # what was sent is there, as it was sent
    expect(open_page("?view=history").get_by_role("region", name="Sounds, the newest")).to_contain_text(ATTACK)


def test_a_restart_of_the_broker_is_said_and_no_row_comes_twice(
    open_page: Open, publish: Publish, served: RunningDashboard, broker: BrokerProcess
) -> None:
    page = open_page()
    publish("edgeaudio/dock/porch/detection", dog(1))
    rows = page.get_by_role("region", name="Now").locator("tbody tr")
    expect(rows).to_have_count(1)
    broker.stop()
    expect(page.locator("#connection")).to_contain_text("no connection to the broker", timeout=20_000)
    broker.start()
    expect(page.locator("#connection")).to_have_text("live", timeout=40_000)
    publish("edgeaudio/dock/porch/detection", dog(1))  # again, as an agent that had no acknowledgement
    publish("edgeaudio/dock/porch/detection", dog(2, label="cat"))
    expect(page.get_by_role("link", name="cat")).to_be_visible()
    expect(rows).to_have_count(2)
    # nor after a restart of the dashboard, which numbers anew
    served.stop()
    served.start().wait_subscribed()
    publish("edgeaudio/dock/porch/detection", dog(3, label="owl"))
    expect(page.get_by_role("link", name="owl")).to_be_visible(timeout=30_000)
    expect(rows).to_have_count(3)
