"""The web server of a running dashboard: routes, headers, who may ask, bad questions."""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from dashboard.test_with_broker import dog
from support.brokers import BrokerProcess, Subscriber, prepared
from support.dashboards import RunningDashboard, WebSocketClient, own_history
from support.waiting import wait_until

from edgeaudio import cli
from edgeaudio.dashboard.service import Dashboard
from edgeaudio.extras import installing

app = pytest.importorskip("edgeaudio.dashboard.web.app", reason="starlette is not installed: `dashboard` brings it")
shared_texts = pytest.importorskip("edgeaudio.dashboard.web.answers")
server = pytest.importorskip("edgeaudio.dashboard.web.server")

STATIC = sorted(file.name for file in Path(app.__file__).parents[1].joinpath("static").iterdir())

# everything that is served besides the page's files: methods, and the least role. What is added is added here too
ROUTES = {
    "/": ({"GET", "HEAD"}, "NOBODY"),
    "/login": ({"GET", "HEAD", "POST"}, "NOBODY"),
    "/logout": ({"POST"}, "NOBODY"),
    "/metrics": ({"GET", "HEAD"}, "READER"),
    "/api/me": ({"GET", "HEAD"}, "NOBODY"),
    "/api/fleet": ({"GET", "HEAD"}, "VISITOR"),
    "/api/recent": ({"GET", "HEAD"}, "VISITOR"),
    "/api/events": ({"GET", "HEAD"}, "VISITOR"),
    "/api/events/{device}/{source}/{id}": ({"GET", "HEAD"}, "VISITOR"),
    "/api/events/{device}/{source}/{id}/clip": ({"GET", "HEAD"}, "READER"),
    "/api/events/{device}/{source}/{id}/picture": ({"GET", "HEAD"}, "READER"),
    "/api/counts": ({"GET", "HEAD"}, "VISITOR"),
    "/api/live": ({"WEBSOCKET"}, "VISITOR"),
    "/api/listen": ({"WEBSOCKET"}, "READER"),
    "/api/sessions": ({"GET", "HEAD"}, "READER"),
    "/api/sessions/end": ({"POST"}, "READER"),
    "/api/sessions/{number}/end": ({"POST"}, "READER"),
    "/api/reviews": ({"POST"}, "OWNER"),
    "/api/missed": ({"GET", "HEAD"}, "READER"),
    "/api/missed/add": ({"POST"}, "OWNER"),
    "/api/missed/remove": ({"POST"}, "OWNER"),
    "/api/export": ({"GET", "HEAD"}, "OWNER"),
    "/api/labels": ({"GET", "HEAD"}, "READER"),
    "/api/controls": ({"GET", "HEAD"}, "READER"),
    "/api/command": ({"POST"}, "OWNER"),
}

NO_LOGIN = (
    "other addresses than loopback need a login: add [dashboard.users.NAME] with a password that "
    "`edgeaudio dashboard --hash-password` prints"
)


@pytest.fixture
def page(broker: BrokerProcess, run_dashboard: Callable[..., RunningDashboard]) -> RunningDashboard:
    return run_dashboard(broker.start()).start().wait_subscribed()


@pytest.fixture(scope="module")
def shared_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDashboard]:
    """A page of several tests, which only ask it."""
    folder = tmp_path_factory.mktemp("page")
    with prepared(None, folder) as broker:
        page = RunningDashboard(folder, broker.start().port)
        try:
            yield page.start().wait_subscribed()
            assert page.stop() == 0, page.log
        finally:
            page.kill()
        assert "Traceback" not in page.log, page.log


@pytest.fixture
def send(broker: BrokerProcess, page: RunningDashboard) -> Iterator[Callable[..., None]]:
    with Subscriber(broker.port, "nothing") as client:
        yield lambda value, topic="edgeaudio/dock/porch/detection": client.publish(topic, json.dumps(value))


def test_all_who_wait_for_the_metrics_get_the_same_text() -> None:
    begun: list[int] = []
    is_first_asked, may_end = threading.Event(), threading.Event()

    def make() -> bytes:
        begun.append(1)
        is_first_asked.set()
        assert may_end.wait(10)
        return b"%d" % len(begun)

    async def ask() -> list[bytes]:
        shared = shared_texts.SharedText(make)
        first = asyncio.create_task(shared.get())
        assert await asyncio.to_thread(is_first_asked.wait, 10)
        others = [asyncio.create_task(shared.get()) for _ in range(30)]
        await asyncio.sleep(0)  # all have asked
        may_end.set()
        answers: list[bytes] = await asyncio.gather(first, *others)
        return answers

    assert asyncio.run(ask()) == [b"1"] + [b"2"] * 30  # the first was begun before they asked


def test_answers_do_not_wait_for_an_acknowledgement() -> None:
    # asyncio sets TCP_NODELAY only on sockets that name their protocol; else answers of a kept connection take 40 ms
    with server.listen("127.0.0.1", 0) as sock:
        assert sock.proto == socket.IPPROTO_TCP


def test_slow_searches_do_not_hold_up_the_rest(dashboard: Dashboard) -> None:
    served = app.make_app(dashboard)

    async def ask(path: str) -> int:
        statuses: list[int] = []

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": b"",
            "headers": [(b"host", b"localhost")],
        }
        await served(scope, wait_for_ever, send)
        return statuses[0]

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    async def ask_all() -> list[int]:
        with own_history(dashboard).database._read_lock:  # as a search that takes long
            searches = [asyncio.create_task(ask("/api/events")) for _ in range(60)]
            await asyncio.sleep(0)  # all have asked
            assert await asyncio.wait_for(ask("/api/fleet"), 10) == 200
        return list(await asyncio.gather(*searches))

    own_history(dashboard).database.open()
    assert asyncio.run(ask_all()) == [200] * 60


def test_the_inventory_of_routes(dashboard: Dashboard) -> None:
    routes: list[Any] = app.make_routes(dashboard)
    found: dict[str, tuple[set[str], str]] = {}
    for route in routes:
        methods, role = found.get(route.path, (set(), route.role.name))
        assert role == route.role.name
        found[route.path] = methods | getattr(route, "methods", {"WEBSOCKET"}), role
    files = {f"/{name}": ({"GET", "HEAD"}, "NOBODY") for name in STATIC if name != "page.html"}
    assert found == files | ROUTES


def test_whatever_is_not_listed_is_not_there(shared_page: RunningDashboard) -> None:
    for path in (
        "/docs",
        "/api",
        "/api/",
        "/static/page.js",
        "/page.js/",
        "/metrics/",
        "/api/events/dock/porch/e1/",
        "/../pyproject.toml",
        "/%2e%2e/x",
        "//",
        "/x",
    ):
        assert shared_page.get(path).status == 404, path
    for path, (methods, _) in ROUTES.items():
        for method in {"GET", "POST", "PUT", "DELETE"} - methods - {"WEBSOCKET"}:
            assert shared_page.get(path, method).status == (404 if "WEBSOCKET" in methods else 405), (method, path)
    assert shared_page.get("/api/live").status == 404


def test_every_answer_forbids_what_the_page_does_not_need(shared_page: RunningDashboard) -> None:
    answers = [
        shared_page.get(path) for path in ("/", "/page.js", "/metrics", "/api/fleet", "/api/events?limit=0", "/nowhere")
    ]
    for answer in (*answers, shared_page.get("/", Host="evil.example"), shared_page.get("/", "POST")):
        headers = answer.headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert "server" not in headers


def test_a_name_that_resolves_to_this_machine_is_not_enough(shared_page: RunningDashboard) -> None:
    for host in (
        "evil.example",
        f"evil.example:{shared_page.port}",
        "localhost.evil.example",
        "",
        "[",
        "127.0.0.1.evil.example",
        "evil.example@localhost",
        "localhost/evil.example",
        "localhost#.evil.example",
        "localhost:80:80",
    ):
        assert shared_page.get("/api/fleet", Host=host).status == 403, host
    for host in (f"localhost:{shared_page.port}", f"127.0.0.1:{shared_page.port}", "[::1]:8420", "LOCALHOST"):
        assert shared_page.get("/api/fleet", Host=host).status == 200, host


def test_a_websocket_needs_an_origin_of_this_page(shared_page: RunningDashboard) -> None:
    for origin in (
        "https://evil.example",
        "null",
        "",
        f"http://localhost:{shared_page.port}",
        f"http://127.0.0.1:{shared_page.port}.x",
    ):
        with WebSocketClient(shared_page.port, Origin=origin) as client:
            assert client.status == 403, origin
    with WebSocketClient(shared_page.port, Host="evil.example", Origin="http://evil.example") as client:
        assert client.status == 403
    with WebSocketClient(shared_page.port) as client:
        assert client.status == 101
        assert client.read()["broker"] == {"detections": True, "state": True}


def test_detections_come_over_the_websocket_and_by_asking(page: RunningDashboard, send: Callable[..., None]) -> None:
    with WebSocketClient(page.port) as client:
        send(dog(1))
        message = client.read()
        while "recent" not in message:
            message = client.read()
        (recent,) = message["recent"]
    assert (recent["label"], recent["device"]) == ("dog", "dock")
    number = recent["number"]
    assert page.get("/api/recent?after=0").json()["recent"] == [recent]
    assert page.get(f"/api/recent?after={number}").json()["recent"] == []
    # the clock was set back, and the page is older than this process
    assert page.get(f"/api/recent?after={number + 99}").json()["recent"] == [recent]


def test_connections_without_a_request_are_bounded(page: RunningDashboard) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", page.port), 10)) for _ in range(510)]
        assert idle[-1].recv(1) == b""  # closed, and not left waiting
    wait_until(lambda: answers(page), 10)
    # thousands at once leave it descriptors
    assert page.process is not None
    resource.prlimit(page.process.pid, resource.RLIMIT_NOFILE, (1024, 1024))
    for _ in range(4):
        with ExitStack() as stack:
            for _ in range(800):
                flood = stack.enter_context(socket.socket())
                flood.settimeout(0)
                flood.connect_ex(("127.0.0.1", page.port))
    wait_until(lambda: answers(page), 10)
    assert "out of system resource" not in page.log


def answers(page: RunningDashboard) -> bool:
    try:
        return page.get("/").status == 200
    except OSError:
        return False


def test_a_browser_that_is_gone_is_forgotten(page: RunningDashboard, send: Callable[..., None]) -> None:
    for _ in range(150):  # more than may be open at once
        with WebSocketClient(page.port) as client:
            assert client.status == 101
    with WebSocketClient(page.port) as client:
        assert client.status == 101


def test_a_page_of_the_history_leads_to_the_next(page: RunningDashboard, send: Callable[..., None]) -> None:
    for number in range(1, 6):
        send(dog(number, label="<b>dog</b>" if number % 2 else "cat"))
    wait_until(lambda: len(page.get("/api/events").json()["events"]) == 5)
    first = page.get("/api/events?limit=3").json()
    second = page.get(f"/api/events?limit=3&after={first['next']}").json()
    assert [event["id"] for event in first["events"] + second["events"]] == ["e5", "e4", "e3", "e2", "e1"]
    assert second["next"] is None
    assert len(page.get("/api/events?label=cat&min_score=0.5&device=dock&source=porch").json()["events"]) == 2
    assert page.get("/api/events/dock/porch/e1").json()["label"] == "<b>dog</b>"
    assert page.get("/api/events/dock/porch/e9").status == 404
    counts = page.get(
        f"/api/counts?from={1797000000000 // 900_000 * 900_000 - 86_400_000 * 300}&steps=96*301&label=cat"
    ).json()
    ((label, days),) = counts["labels"]
    assert (label, sum(days), len(days), counts["others"]) == ("cat", 2, 301, [0] * 301)


# one dashboard is asked all of them: each start of one takes seconds
BAD_QUESTIONS = (
    "/api/events?limit=0",
    "/api/events?limit=501",
    "/api/events?limit=x",
    "/api/events?after=7",
    "/api/events?after=7.%C2%B2",
    "/api/events?min_score=nan",
    "/api/events?from=99999999999999999999",
    "/api/events?label=" + "x" * 201,
    "/api/counts",
    "/api/counts?from=0",
    "/api/counts?from=1&steps=4",
    "/api/counts?from=0&steps=0",
    "/api/counts?from=0&steps=4,-4",
    "/api/counts?from=0&steps=4,",
    "/api/counts?from=0&steps=1*1*1",
    "/api/counts?from=0&steps=1*0",
    "/api/counts?from=0&steps=1*801",
    "/api/counts?from=0&steps=1*9999999999",
    "/api/counts?from=0&steps=1*700,1*101",
    "/api/counts?from=0&steps=96*402",
    "/api/counts?from=0&steps=9999999999999999",
    "/api/counts?from=9007199254740991&steps=1",
    "/api/recent?after=-",
)


def test_a_bad_question_is_refused_in_one_line(shared_page: RunningDashboard) -> None:
    for query in BAD_QUESTIONS:
        answer = shared_page.get(query)
        assert answer.status == 400, query
        assert len(answer.json()["error"]) < 100, query


@pytest.mark.parametrize(
    ("listen", "problem"),
    [
        ("0.0.0.0:8420", NO_LOGIN),
        ("[::]:8420", NO_LOGIN),
        ("192.168.1.2:80", NO_LOGIN),
        ("localhost", "must be an address and a port, as in 127.0.0.1:8420"),
        ("127.0.0.1:99999", "must be an address and a port, as in 127.0.0.1:8420"),
    ],
)
def test_another_address_than_loopback_is_refused(
    listen: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["dashboard", "--set", f"dashboard.listen={listen}"]) == 2
    assert capsys.readouterr().err == f"edgeaudio: --set: dashboard.listen: {problem}\n"


def test_a_port_that_is_taken_and_a_database_that_cannot_be_are_one_line(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        status, line = refused("--set", f"dashboard.listen=127.0.0.1:{port}", "--set", f"state_dir={tmp_path}")
    assert status == 2
    assert line == (
        f"edgeaudio: dashboard.listen: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "set another port"
    )
    status, line = refused("--set", "dashboard.listen=127.0.0.1:1", "--set", "dashboard.database=/dev/null/x")
    assert status == 2


def test_without_the_extra_one_line_names_it() -> None:
    hide = (
        "import sys; from importlib.util import find_spec as f; import importlib.util as u; "
        "u.find_spec = lambda n, *a: None if n == 'starlette' else f(n, *a); "
        "from edgeaudio.cli import main; sys.exit(main(['dashboard']))"
    )
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert done.stderr == (f"edgeaudio: the dashboard needs starlette: {installing('dashboard')}\n")


def refused(*options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "edgeaudio", "dashboard", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr.rstrip("\n")
