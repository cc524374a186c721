"""The dashboard of a fleet as a process: a broker, collect, and a PostgreSQL that goes away and comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest
from dashboard.values import PAYLOAD
from support.brokers import MosquittoFactory, Subscriber
from support.collectors import RunningCollector
from support.dashboards import RunningDashboard
from support.postgres import FAST, running_postgres
from support.waiting import wait_until

from edgeaudio.packed_counts import QUARTER_MS


def test_events_come_from_postgresql_which_may_go_away(
    mosquitto: MosquittoFactory,
    run_dashboard: Callable[..., RunningDashboard],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker = mosquitto().start()
    with running_postgres(*FAST) as server:
        url = server.new_database("fleet")
        monkeypatch.setenv("EDGEAUDIO_FLEET_DATABASE", url)
        page = run_dashboard(broker).start().wait_subscribed()
        # collect has not been started yet
        answer = page.get("/api/events")
        assert (answer.status, b"has no tables yet" in answer.body) == (503, True)
        collector = RunningCollector(tmp_path, broker.port, url)
        try:
            collector.start().wait_subscribed()
            with Subscriber(broker.port, "nothing") as client:
                client.publish("edgeaudio/dock/porch/detection", json.dumps(PAYLOAD | {"members": {"home": 0.9}}))
            wait_until(lambda: page.get("/api/events").json().get("events"), 20, "no event comes")
            (event,) = page.get("/api/events").json()["events"]
            assert (event["id"], event["label"], event["verdict"]) == ("e1", "dog", None)
            assert [recent["id"] for recent in page.get("/api/recent").json()["recent"]] == ["e1"]
            at_ms = round(datetime.fromisoformat(PAYLOAD["at"]).timestamp() * 1000) // QUARTER_MS * QUARTER_MS
            chart = f"/api/counts?from={at_ms}&steps=1"
            wait_until(lambda: "dog" in str(page.get(chart).json()), 30, "no chart has the event")
            judgement = {"device": "dock", "source": "porch", "id": "e1", "verdict": "right"}
            assert page.post("/api/reviews", {"reviews": [judgement]}).status == 200
            server.kill()
            answer = page.get("/api/events")
            assert answer.status == 503
            assert page.get("/api/fleet").status == 200
            server.start()

            def is_back() -> bool:
                with suppress(KeyError):
                    return bool(page.get("/api/events").json()["events"][0]["verdict"] == "right")
                return False

            wait_until(is_back, 20, "the history does not come back")
            page.stop()
            page.start()  # and what came to it before is no longer a recent sound
            wait_until(is_back, 20, "the history is not read by a new page")
            assert page.get("/api/events/dock/porch/e1").json()["members"] == {"home": 0.9}
        finally:
            collector.kill()
