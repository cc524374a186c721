"""Verdicts and missed sounds over HTTP: what is taken, what is refused, and who is named."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from dashboard.test_with_broker import dog, publish
from support.brokers import BrokerProcess
from support.dashboards import RunningDashboard
from support.waiting import wait_until

from edgeaudio.dashboard import missed
from edgeaudio.dashboard.service import Dashboard

body = pytest.importorskip("edgeaudio.dashboard.web.body", reason="starlette is not installed: `dashboard` brings it")
app = pytest.importorskip("edgeaudio.dashboard.web.app")
Request: Any = pytest.importorskip("starlette.requests").Request

__all__ = ["publish"]
NOW_MS = round(time.time() * 1000)
PLACE = {"device": "dock", "source": "porch"}
SPAN = {"begin": NOW_MS - 5000, "end": NOW_MS}


def judged(event_id: str, verdict: str | None, **more: str) -> dict[str, Any]:
    return PLACE | {"id": event_id, "verdict": verdict} | more


BAD: list[tuple[str, object, str]] = [
    ("/api/reviews", {}, "reviews: is no list of 1 to 500"),
    ("/api/reviews", {"reviews": []}, "reviews: is no list of 1 to 500"),
    ("/api/reviews", {"reviews": [judged("e1", None)] * 501}, "reviews: is no list of 1 to 500"),
    ("/api/reviews", {"reviews": ["e1"]}, "reviews: has an entry that is no object"),
    ("/api/reviews", {"reviews": [judged("e1", "maybe")]}, 'verdict: is not "right", "wrong", "other" or null'),
    ("/api/reviews", {"reviews": [judged("e1", "other")]}, "label: is no text of 1 to 200 characters"),
    ("/api/reviews", {"reviews": [judged("e1", "other", label=" ")]}, "label: is no text of 1 to 200 characters"),
    ("/api/reviews", {"reviews": [judged("e1", "other", label="x" * 201)]}, "label: is no text of 1 to 200"),
    ("/api/reviews", {"reviews": [judged("", "right")]}, "id: is not that of an event"),
    ("/api/reviews", {"reviews": [judged("\ud800", "right")]}, "id: is not that of an event"),  # no text in UTF-8
    ("/api/reviews", {"reviews": [judged("e1", "right", device="a/b")]}, "device, source: are not the names of"),
    ("/api/missed/add", PLACE | SPAN, "label: is no text of 1 to 200 characters"),
    ("/api/missed/add", PLACE | SPAN | {"label": "owl", "end": NOW_MS - 5000}, "end: is not after begin, or more"),
    ("/api/missed/add", PLACE | SPAN | {"label": "owl", "begin": 0}, "end: is not after begin, or more than 600 s"),
    ("/api/missed/add", PLACE | SPAN | {"label": "owl", "begin": 1.5}, "begin: is no whole number"),
    ("/api/missed/add", PLACE | {"label": "owl", "begin": 1 << 60, "end": 1 << 60}, "begin: is no whole number"),
    ("/api/missed/remove", {"numbers": ["1"]}, "numbers: is no whole number"),
    ("/api/reviews", b"[" * 100_000, "the body is no JSON"),
    ("/api/reviews", b"\xff", "the body is no JSON"),
    ("/api/reviews", b'{"reviews": NaN}', "the body is no JSON"),
    ("/api/reviews", [1], "the body is no JSON object"),
]


@pytest.fixture
def page(
    broker: BrokerProcess, publish: Callable[..., None], run_dashboard: Callable[..., RunningDashboard]
) -> RunningDashboard:
    page = run_dashboard(broker).start().wait_subscribed()
    for number in range(1, 4):
        publish("edgeaudio/dock/porch/detection", dog(number))
    wait_until(lambda: len(page.get("/api/events").json()["events"]) == 3)
    return page


def test_verdicts_are_given_shown_and_undone(page: RunningDashboard) -> None:
    wanted = [judged("e1", "wrong"), judged("e2", "other", label=" cat\n"), judged("gone", "wrong")]
    answer = page.post("/api/reviews", {"reviews": wanted})
    assert answer.status == 200
    before = [judged("e1", None), judged("e2", None)]
    assert answer.json() == {"before": before, "unchanged": 0, "left_out": 1}
    (event,) = page.get("/api/events?verdict=other").json()["events"]
    assert (event["id"], event["label"], event["given_label"], event["reviewer"]) == ("e2", "dog", "cat", "local")
    assert abs(event["reviewed"] / 1000 - time.time()) < 60
    (log,) = page.get("/api/events/dock/porch/e2").json()["reviews"]
    assert (log["reviewer"], log["verdict"], log["label"]) == ("local", "other", "cat")
    assert [event["id"] for event in page.get("/api/events?verdict=unreviewed").json()["events"]] == ["e3"]
    assert page.get("/api/labels").json()["labels"] == ["cat", "dog"]
    assert page.post("/api/reviews", {"reviews": before}).json()["before"] == [
        wanted[0],
        judged("e2", "other", label="cat"),
    ]
    assert len(page.get("/api/events?verdict=unreviewed").json()["events"]) == 3
    # the next one that nobody has judged is asked for by the place of this one
    place = page.get("/api/events/dock/porch/e3").json()["place"]
    (event,) = page.get(f"/api/events?verdict=unreviewed&limit=1&after={place}").json()["events"]
    assert event["id"] == "e2"


def test_missed_sounds_are_marked_listed_and_removed(page: RunningDashboard) -> None:
    added = page.post("/api/missed/add", PLACE | SPAN | {"label": "owl"}).json()
    assert (added["label"], added["reviewer"], added["covered_by"]) == ("owl", "local", None)
    assert page.get("/api/missed?device=dock&label=owl").json() == {"sounds": [added], "next": None}
    assert page.get("/api/missed?label=dog").json()["sounds"] == []
    assert page.post("/api/missed/remove", {"numbers": [added["number"], 99]}).json()["removed"] == [added]
    assert page.get("/api/missed").json()["sounds"] == []


def test_a_bad_body_is_refused_in_one_line(page: RunningDashboard) -> None:
    for path, value, problem in BAD:
        answer = page.post(path, value)
        assert answer.status == 400
        assert answer.json()["error"].startswith(problem)
        assert len(answer.json()["error"]) < 100
    assert page.post("/api/reviews", b"x" * (body.MAX_BODY + 1)).status == 413
    with closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)) as connection:
        headers = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{page.port}"}
        pieces = (b"x" * 65_536 for _ in range(body.MAX_BODY // 65_536 + 1))
        connection.request("POST", "/api/reviews", pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    assert page.post("/api/reviews", {}, Content_Type="text/plain").status == 415
    for origin in ("https://evil.example", "null", ""):
        assert page.post("/api/reviews", {"reviews": [judged("e1", "wrong")]}, Origin=origin).status == 403
    assert page.get("/api/events?verdict=maybe").status == 400
    assert page.get("/api/events?verdict=wrong").json()["events"] == []


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_LIMIT_S", 0.01)

    async def never() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
    with pytest.raises(body.BodyError, match=r"the body did not come within 0\.01 s") as caught:
        asyncio.run(body.read_json(body.bounded(Request(scope, never))))
    assert caught.value.status == 408


def test_too_many_missed_sounds_are_a_conflict(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed, "MAX_MISSED", 0)
    dashboard.database.open()
    content = json.dumps(PLACE | SPAN | {"label": "owl"}).encode()
    answers: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        answers.append(message)

    headers = {"host": "localhost", "origin": "http://localhost", "content-type": "application/json"}
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/missed/add",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app.make_app(dashboard)(scope, receive, send))
    assert answers[0]["status"] == 409
    assert b"there are 0 missed sounds already" in answers[1]["body"]
