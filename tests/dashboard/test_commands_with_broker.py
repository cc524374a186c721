"""Commands from the page over real brokers: answers, refusals, and what is said where no answer comes."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from dashboard.test_with_broker import publish
from paho.mqtt.enums import MQTTProtocolVersion
from support.brokers import BrokerProcess, MosquittoFactory, Subscriber, config_for
from support.dashboards import RunningDashboard
from support.waiting import wait_until

from edgeaudio.dashboard import control_feed
from edgeaudio.dashboard.commands import command_of
from edgeaudio.dashboard.control_feed import Answer, ControlFeed
from edgeaudio.dashboard.controls import Controls
from edgeaudio.sinks.mqtt.events import Received

__all__ = ["publish"]
SNOOZE = {"device": "dock", "source": "porch", "command": "snooze", "label": "Dog bark", "value": 3600}
TOPIC = "edgeaudio/dock/porch/snooze/dog-bark/set"
Run = Callable[..., RunningDashboard]


def ask(page: RunningDashboard, body: Any, **headers: str) -> tuple[int, Any]:
    """Ask for a command as a page does; return status and answer."""
    own = f"http://127.0.0.1:{page.port}"
    with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=20)) as connection:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/api/command", text, {"Origin": own, "Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def controls(page: RunningDashboard, source: str = "porch", after: int = 0) -> Any:
    return page.get(f"/api/controls?device=dock&source={source}&after={after}").json()


def answer(error: str | None, topic: str = TOPIC) -> dict[str, Any]:
    return {"schema_version": 1, "topic": topic, "ok": error is None, "error": error}


class Device(Subscriber):
    """Answers each command with the next of the errors; then no more."""

    def __init__(self, port: int, publish: Callable[..., None], *errors: str | None) -> None:
        super().__init__(port, "edgeaudio/dock/+/+/+/set", protocol=MQTTProtocolVersion.MQTTv5)
        left = list(errors)
        heard = self._client.on_message

        def obey(client: Any, userdata: Any, message: Any) -> None:
            assert heard is not None
            heard(client, userdata, message)
            self.expiries_s.append(message.properties.MessageExpiryInterval)
            if left:
                client.publish("edgeaudio/dock/command", json.dumps(answer(left.pop(0), message.topic)), qos=1)

        self._client.on_message = obey
        self.expiries_s: list[int] = []


def test_a_device_s_own_answer_is_the_answer(broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Run):
    page = run_dashboard(broker).start().wait_subscribed()
    with Device(broker.port, publish, None, "no, <b>never</b>", None, None) as device:
        assert ask(page, SNOOZE) == (200, {"ok": True, "answered": True, "error": ""})
        assert ask(page, SNOOZE) == (200, {"ok": False, "answered": True, "error": "no, <b>never</b>"})
        # several at once, of several topics
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda kind: ask(page, SNOOZE | {"command": kind}), ("snooze", "cooldown")))
        assert [answered["ok"] for _, answered in found] == [True, True]
        assert device.of(TOPIC)[:2] == [b"3600", b"3600"]
        assert not any(heard.retain for heard in device.heard)
        # none is obeyed when nobody waits for it any more
        assert set(device.expiries_s) <= {9, 10}


def test_what_is_retained_is_shown_and_only_while_somebody_looks(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Run
):
    page = run_dashboard(broker).start().wait_subscribed()
    publish("edgeaudio/dock/porch/enabled", b"ON", retain=True)
    publish("edgeaudio/dock/porch/threshold/dog", b"0.65", retain=True)
    publish("edgeaudio/dock/porch/snooze/dog", b"2026-11-20T12:00:00.000Z", retain=True)
    publish("edgeaudio/dock/porch/threshold/cat", b"high", retain=True)
    publish("edgeaudio/dock/hall/threshold/cat", b"0.5", retain=True)
    wait_until(lambda: controls(page)["labels"])
    wait_until(lambda: controls(page)["labels"][0]["snoozed_until"] and controls(page)["subscribed"])
    found = controls(page)
    dog = {"label": "dog", "threshold": 0.65, "snoozed_until": 1_795_176_000_000, "cooldown_s": 0}
    assert (found["subscribed"], found["enabled"], found["labels"]) == (True, True, [dog])
    assert controls(page, after=found["revision"]) == {"revision": found["revision"]}
    publish("edgeaudio/dock/porch/snooze/dog", b"", retain=True)
    wait_until(lambda: controls(page)["labels"] == [dog | {"snoozed_until": None}])
    wait_until(lambda: page.metric('edgeaudio_dashboard_refused_messages_total{topic="threshold"}'))
    # after an outage of the broker what was retained comes again
    broker.stop()
    wait_until(lambda: controls(page)["trouble"].startswith("broker mqtt://127.0.0.1"), 20)
    status, refused = ask(page, SNOOZE)
    assert (status, refused["answered"]) == (200, False)
    assert refused["error"].startswith("nothing was changed: broker mqtt://127.0.0.1")
    broker.start()
    with Subscriber(broker.port, "nothing") as again:
        again.publish("edgeaudio/dock/porch/threshold/dog", b"0.7", retain=True)
    wait_until(lambda: [each["threshold"] for each in controls(page)["labels"]] == [0.7], 30)
    assert controls(page)["trouble"] == ""


def test_a_broker_that_denies_a_command_or_its_answer_is_named(
    mosquitto: MosquittoFactory, run_dashboard: Run, tmp_path: Path
):
    rules = tmp_path / "acl"
    rules.write_text("topic read edgeaudio/#\n")
    broker = mosquitto(f"acl_file {rules}").start()
    page = run_dashboard(broker).start().wait_subscribed()
    _, found = ask(page, SNOOZE)
    assert found["error"].startswith(f"the broker denies {TOPIC}: Not authorized; allow it in its access rules")
    assert (found["ok"], found["answered"]) == (False, False)


@pytest.fixture
def feed(broker: BrokerProcess, publish: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlFeed]:
    """The feed of a dashboard that knows the device `shed` to be offline, and waits for answers for a second."""
    monkeypatch.setattr(control_feed, "ANSWER_S", 1.0)
    stop, controls = threading.Event(), Controls()
    del publish  # which starts the broker
    config = config_for(broker, client_id="desk")
    refused: list[Received] = []
    feed = ControlFeed(
        config,
        "edgeaudio",
        controls,
        lambda message, _: refused.append(message),
        lambda device: device == "shed",
        stop=stop,
    )
    feed.start()
    yield feed
    stop.set()
    feed.join(10)
    assert (feed.failure, refused) == (None, [])


def send(feed: ControlFeed, device: str = "dock") -> Future[Answer]:
    found = feed.send(command_of(SNOOZE | {"device": device}))
    assert found is not None
    return found


def test_no_answer_in_time_is_said_with_what_is_known(
    broker: BrokerProcess, publish: Callable[..., None], feed: ControlFeed
):
    # answers to other commands, of other devices and those of the past are none
    publish("edgeaudio/dock/command", answer(None), retain=True)
    with Subscriber(broker.port, "edgeaudio/+/porch/snooze/+/set") as devices:
        asked = [send(feed) for _ in range(control_feed.MAX_COMMANDS - 1)]
        shed = send(feed, "shed")
        assert feed.send(command_of(SNOOZE)) is None
        wait_until(lambda: len(devices.heard) == control_feed.MAX_COMMANDS)
        publish("edgeaudio/dock/command", answer(None, "edgeaudio/dock/porch/snooze/cat/set"))
        publish("edgeaudio/shed/command", answer(None))
        assert shed.result(5) == Answer(answered=False, error="no answer within 1 s: shed is offline")
        (words,) = {each.result(5) for each in asked}
        assert words.error.startswith("no answer from dock within 1 s: it is busy, its connection is broken, or the ")
        # a late answer is that of nobody, and there is room again
        publish("edgeaudio/dock/command", answer("too late"))
        again = send(feed)
        wait_until(lambda: len(devices.heard) == control_feed.MAX_COMMANDS + 1)
        publish("edgeaudio/dock/command", answer(None))
        assert again.result(5) == Answer(answered=True, error="")


def test_who_looks_at_many_sources_one_after_the_other_keeps_no_subscriptions(
    broker: BrokerProcess, publish: Callable[..., None], feed: ControlFeed, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("edgeaudio.dashboard.controls.VISIT_S", 0.05)
    monkeypatch.setattr(control_feed, "_MAX_STALE", 2)
    controls = feed._controls
    for number in range(8):
        publish(f"edgeaudio/dock/s{number}/threshold/dog", b"0.5", retain=True)
        key = ("dock", f"s{number}")

        def shown(key: tuple[str, str] = key) -> object:
            feed.wake()
            found = controls.visit(key, time.monotonic())
            return found is not None and found.labels

        wait_until(shown)
    # with two left over a connection is renewed
    wait_until(lambda: broker.log().count("as desk") >= 3)


def test_a_command_needs_a_page_of_this_server_and_a_small_object(broker: BrokerProcess, run_dashboard: Run):
    page = run_dashboard(broker.start()).start().wait_subscribed()
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{page.port + 1}", ""):
        status, refused = ask(page, SNOOZE, Origin=origin)
        assert (status, refused["error"]) == (403, "this request did not come from a page of the dashboard")
    for body, problem in {
        b"": "the body is no JSON",
        b"[1]": "the body is no JSON object",
        b"[" * 4000: "the body is no JSON",
        b"\xff": "the body is no JSON",
        b"{}": "device: is no name of one",
    }.items():
        assert ask(page, body) == (400, {"error": problem})
    assert page.get("/api/command").status == 405
    for query in ("", "device=dock", "device=dock&source=%2B", "device=dock&source=porch&after=x"):
        assert page.get(f"/api/controls?{query}").status == 400
