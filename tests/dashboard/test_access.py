"""Who may ask for what, over real HTTP: roles, login, sessions, limits, hosts and origins."""

from __future__ import annotations

import logging
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from support.waiting import wait_until

pytest.importorskip("starlette", reason="starlette is not installed: the extra `dashboard` brings it")

from dashboard.test_app import ROUTES, STATIC
from support.dashboard_access import CHEAP, LOOPBACK, PASSWORD, USERS, Browser, ServedDashboard, ask
from support.dashboards import WebSocketClient

from edgeaudio.dashboard.config import User
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.history import Page
from edgeaudio.dashboard.roles import Role
from edgeaudio.password_hashes import PasswordHash
from edgeaudio.wire.payloads import Health, Status

Serve = Callable[..., ServedDashboard]
TOKEN = "a-token-of-metrics"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda **access: stack.enter_context(ServedDashboard(tmp_path, **access))


@pytest.fixture
def served(serve: Serve) -> ServedDashboard:
    return serve(users=USERS)


def status_of(browser: Browser, path: str, method: str) -> int:
    if method != "WEBSOCKET":
        return (browser.post(path) if method == "POST" else browser.get(path)).status
    with WebSocketClient(browser.port, path, **browser.headers) as client:
        return client.status


@pytest.mark.parametrize("is_public", [False, True])
def test_every_route_by_every_role(serve: Serve, is_public: bool) -> None:
    served = serve(users=USERS, is_public=is_public)
    inventory = [(f"/{name}", {"GET"}, "NOBODY") for name in STATIC if name != "page.html"]
    inventory += [(path, methods - {"HEAD"}, role) for path, (methods, role) in ROUTES.items()]
    inventory.sort(key=lambda each: "end" in each[0] or "log" in each[0])  # what ends the session comes last
    for user, role in {"": Role.VISITOR if is_public else Role.NOBODY, "rita": Role.READER, "anna": Role.OWNER}.items():
        for path, methods, least in inventory:
            for method in methods:
                browser = Browser(served.port)
                if user and least != "NOBODY":
                    browser.headers["Cookie"] = cookie_of(served, user)
                query = "?device=attic&source=porch" if path == "/api/listen" else ""
                status = status_of(browser, re.sub(r"\{\w+\}", "1", path) + query, method)
                case = (user, method, path, status)
                if role < Role[least]:
                    assert status == (403 if user else 401), case
                else:
                    # what is asked for may not be there, or be no question; nothing is refused, and nothing fails
                    assert status in {101, 200, 303, 400, 404, 415} or (path == "/login" and status == 401), case


def cookie_of(served: ServedDashboard, user: str) -> str:
    token = served.dashboard.sessions.begin(user, "127.0.0.1", "a browser", time.time())
    return f"edgeaudio_{served.port}={token}"


def test_without_a_login_whoever_is_on_this_machine_is_an_owner(serve: Serve) -> None:
    served = serve()
    assert served.ask("/api/me").json() == {"user": None, "role": "owner", "login": False, "session": False}
    assert served.ask("/login").headers["location"] == "./"
    assert served.ask("/login", "POST", "user=anna&password=x").status == 401


def test_a_proxy_that_was_not_named_lets_nobody_in_without_a_login(serve: Serve) -> None:
    served = serve()
    for header in ("X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Real-IP", "X-Forwarded-Proto"):
        answer = served.ask("/api/fleet", headers={header: "203.0.113.5"})
        assert answer.status == 403
        assert answer.json()["error"] == "a proxy forwards this, and there is no login: set dashboard.users"


def test_logging_in_leads_back_to_the_view_and_out_again(served: ServedDashboard) -> None:
    browser = Browser(served.port)
    assert browser.role() == "nobody"
    form = browser.get("/login?next=%3Fview%3Dhistory%26label%3D%2522%253E")
    assert form.status == 200
    assert 'name="next" value="?view=history&amp;label=%22%3E"' in form.body.decode()
    answer = browser.log_in("Anna ", back="?view=history&label=dog")
    assert (answer.status, answer.headers["location"]) == (303, "./?view=history&label=dog")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"edgeaudio_{served.port}=")
    assert cookie.endswith("; Path=/; Max-Age=7776000; HttpOnly; SameSite=Strict")
    me = browser.get("/api/me").json()
    assert me == {"user": "anna", "role": "owner", "login": True, "session": True}
    assert browser.get("/login").headers["location"] == "./"
    (session,) = browser.get("/api/sessions").json()["sessions"]
    assert (session["user"], session["address"], session["own"]) == ("anna", "127.0.0.1", True)
    kept = browser.cookie
    answer = browser.post("/logout")
    assert answer.headers["location"] == "login"
    assert "Max-Age=0" in answer.headers["set-cookie"]
    browser.headers["Cookie"] = kept
    assert browser.role() == "nobody"


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "?a\r\nSet-Cookie: x=1", "x", "/\\evil", "?" + "x" * 3000, "?ä"]
)
def test_a_login_leads_nowhere_else(served: ServedDashboard, back: str) -> None:
    answer = Browser(served.port).log_in(back=back)
    assert answer.status == 303
    assert answer.headers["location"] == "./"


def test_wrong_logins_are_told_apart_by_nothing_and_logged_without_the_password(
    served: ServedDashboard, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edgeaudio")
    browser = Browser(served.port)
    bodies = []
    for user, password in [("anna", "hunter2"), ("nobody", "hunter2"), ("anna", ""), ("", ""), ("a\nb<i>", "hunter2")]:
        answer = browser.log_in(user, password)
        assert answer.status == 401
        bodies.append(answer.body.decode().replace(f'value="{user}"', 'value=""'))
    assert len(set(bodies[:4])) == 1
    assert "a\nb&lt;i&gt;" in bodies[4]
    assert "login as anna from 127.0.0.1 refused: wrong name or password" in caplog.messages
    assert "login as a\ufffdb<i> from 127.0.0.1 refused: wrong name or password" in caplog.messages
    assert "hunter2" not in caplog.text
    assert browser.cookie == ""


def test_an_unknown_name_is_checked_like_a_known_one(served: ServedDashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    matches = PasswordHash.matches

    def count(wanted: Any, password: str) -> bool:
        checked.append((wanted.ln, wanted.r, wanted.p, password))
        return matches(wanted, password)

    monkeypatch.setattr(PasswordHash, "matches", count)
    for user in ("anna", "nobody", ""):
        assert Browser(served.port).log_in(user, "wrong").status == 401
    assert checked == [(14, 8, 1, "wrong")] * 3


def test_a_user_without_a_password_cannot_log_in(serve: Serve) -> None:
    served = serve(users={"anna": User(Role.OWNER, CHEAP), "ha": User(Role.OWNER, None)}, user_header="X-User")
    for password in ("", PASSWORD):
        assert Browser(served.port).log_in("ha", password).status == 401


def test_a_form_is_bounded(served: ServedDashboard) -> None:
    for body in ("user=anna&password=" + "x" * 20_000, "&".join(f"a{n}=1" for n in range(50)), "\xff", "user", ""):
        assert served.ask("/login", "POST", body).status == 401
    assert Browser(served.port).log_in("anna", "ä" * 1000).status == 401  # more bytes than a password has


def test_a_browser_that_is_gone_in_the_middle_of_a_form_is_no_error(
    served: ServedDashboard, caplog: pytest.LogCaptureFixture
) -> None:
    head = "POST /login HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Length: 99\r\n\r\nuser="
    with closing(socket.create_connection(("127.0.0.1", served.port), 10)) as connection:
        connection.sendall(head.encode())
    wait_until(lambda: "refused: wrong name or password" in caplog.text, 10)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_failed_logins_of_one_address_are_limited_and_then_the_right_one_too(served: ServedDashboard) -> None:
    browser = Browser(served.port)
    assert [browser.log_in("anna", "").status for _ in range(11)] == [401] * 10 + [429]
    answer = browser.log_in()
    assert answer.status == 429
    assert 50 < int(answer.headers["retry-after"]) <= 60
    assert "Too many failed logins: try again in" in answer.body.decode()


def test_right_logins_are_not_counted(served: ServedDashboard) -> None:
    assert {Browser(served.port).log_in().status for _ in range(11)} == {303}


def test_failed_logins_of_all_addresses_do_not_lock_out_who_is_logged_in_elsewhere(serve: Serve) -> None:
    served = serve(users=USERS, trusted_proxies=LOOPBACK)
    at_home = {"X-Forwarded-For": "192.0.2.7"}
    assert Browser(served.port, **at_home).log_in().status == 303
    failed = [Browser(served.port, **{"X-Forwarded-For": f"2001:db8:{n}::1"}).log_in("x", "").status for n in range(61)]
    assert failed == [401] * 60 + [429]
    waiting = Browser(served.port, **{"X-Forwarded-For": "198.51.100.1"})
    answers = [waiting.log_in() for _ in range(12)]  # these do not count as failed ones of this address
    assert {answer.status for answer in answers} == {429}
    assert int(answers[-1].headers["retry-after"]) <= 10
    assert Browser(served.port, **at_home).log_in().status == 303


def test_requests_are_limited_far_above_what_the_page_asks(served: ServedDashboard) -> None:
    answers: list[HTTPResponse] = []
    with closing(HTTPConnection("127.0.0.1", served.port, timeout=10)) as connection:
        while len(answers) < 5000 and not (answers and answers[-1].status == HTTPStatus.TOO_MANY_REQUESTS):
            connection.request("GET", "/icon.svg")
            answers.append(connection.getresponse())
            answers[-1].read()
    assert [answer.status for answer in answers[:1000]] == [200] * 1000
    # the answer that was refused: the next may be served again on a machine that took its time
    refused = answers[-1]
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert "content-security-policy" in refused.headers


def test_answers_over_a_kept_connection_are_not_held_back(served: ServedDashboard) -> None:
    took_s = []
    with closing(HTTPConnection("127.0.0.1", served.port, timeout=10)) as connection:
        for _ in range(20):
            begun_s = time.monotonic()
            connection.request("GET", "/icon.svg")
            connection.getresponse().read()
            took_s.append(time.monotonic() - begun_s)
    assert min(took_s[1:]) < 0.03  # with Nagle's algorithm each takes 40 ms


def test_a_session_survives_a_restart_unless_the_password_is_another(serve: Serve, tmp_path: Path) -> None:
    with ServedDashboard(tmp_path, users=USERS) as served:
        token = cookie_of(served, "anna").partition("=")[2]
        other = cookie_of(served, "rita").partition("=")[2]
        assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.glob("d.sqlite*"))
    changed = User(Role.OWNER, CHEAP.like())
    served = serve(users={"anna": User(Role.READER, CHEAP), "rita": changed})
    cookie = f"edgeaudio_{served.port}="
    assert Browser(served.port, Cookie=cookie + token).role() == "reader"  # the role is that of the settings
    assert Browser(served.port, Cookie=cookie + other).role() == "nobody"


def test_ids_that_are_none_are_nobody(served: ServedDashboard) -> None:
    name = f"edgeaudio_{served.port}"
    for cookie in (f"{name}=", f"{name}=x", f"{name}=" + "x" * 9000, name, "=", f"x{name}=1", f"{name}=\xe9;" * 99):
        assert Browser(served.port, Cookie=cookie).role() == "nobody"


def test_another_cookie_of_that_name_logs_nobody_out(served: ServedDashboard) -> None:
    cookie, name = cookie_of(served, "anna"), f"edgeaudio_{served.port}"
    for cookies in (f"{name}=x; {cookie}", f"{name}=; {cookie}", f"{cookie}; {name}=x", f"{name}={cookie}; {cookie}"):
        assert Browser(served.port, Cookie=cookies).role() == "owner"
    assert Browser(served.port, Cookie=f"{name}=x; " * 2000 + cookie).role() == "nobody"


def test_who_has_a_login_does_not_wait_for_what_visitors_search(serve: Serve) -> None:
    served = serve(users=USERS, is_public=True)
    rita = Browser(served.port, Cookie=cookie_of(served, "rita"))
    may_end, statuses = threading.Event(), []

    def slow(*_: object) -> Page:
        may_end.wait(10)
        return Page((), None)

    def ask_as_visitor() -> None:
        statuses.append(served.ask("/api/events").status)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(served.dashboard.history, "page", slow)
        visitors = [threading.Thread(target=ask_as_visitor) for _ in range(35)]
        for visitor in visitors:
            visitor.start()
        wait_until(lambda: statuses == [503] * 5, 10)
        assert rita.get("/api/counts?from=0&steps=96").status == 200
        may_end.set()
        for visitor in visitors:
            visitor.join(10)
    assert sorted(statuses) == [200] * 30 + [503] * 5


def test_an_owner_ends_any_session_and_a_reader_his_own(served: ServedDashboard) -> None:
    anna, rita, other = (Browser(served.port, Cookie=cookie_of(served, user)) for user in ("anna", "rita", "rita"))
    assert {each["user"] for each in anna.get("/api/sessions").json()["sessions"]} == {"anna", "rita"}
    assert {each["user"] for each in rita.get("/api/sessions").json()["sessions"]} == {"rita"}
    numbers = {each["user"]: each["number"] for each in anna.get("/api/sessions").json()["sessions"]}
    assert rita.post(f"/api/sessions/{numbers['anna']}/end").status == 404
    assert anna.role() == "owner"
    assert rita.post("/api/sessions/end").json() == {"ended": 2}
    assert (rita.role(), other.role(), anna.role()) == ("nobody", "nobody", "owner")
    assert rita.get("/api/fleet").status == 401
    third = Browser(served.port, Cookie=cookie_of(served, "rita"))
    (number,) = (each["number"] for each in third.get("/api/sessions").json()["sessions"])
    assert anna.post(f"/api/sessions/{number}/end").json() == {"ended": 1}
    assert third.role() == "nobody"


def test_a_websocket_ends_with_its_session(served: ServedDashboard) -> None:
    anna = Browser(served.port, Cookie=cookie_of(served, "anna"))
    with WebSocketClient(served.port, Cookie=anna.cookie) as client:
        assert client.status == 101
        assert "broker" in client.read()
        anna.post("/logout")
        assert client.read_close() == 4401


def test_a_locked_database_lets_nobody_new_in_and_nobody_out(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeaudio.dashboard.database._LOCK_WAIT_S", 0.05)
    served = serve(users=USERS)
    path = served.dashboard.database.path
    anna = Browser(served.port, Cookie=cookie_of(served, "anna"))
    with lock_of(path, "IMMEDIATE"):
        answer = Browser(served.port).log_in()
        assert answer.status == 503
        assert "Nobody can log in: the dashboard&#x27;s database cannot be used now: its log says why." in (
            answer.body.decode()
        )
        assert "another process has it locked" in caplog.text
        assert "set-cookie" not in answer.headers
        assert anna.role() == "owner"
        answer = anna.post("/api/sessions/end")
        assert answer.status == 503
        assert answer.json()["error"].startswith("ended, but this is not on disk yet, and is tried again: history")
        assert anna.role() == "nobody"
    assert Browser(served.port).log_in().status == 303
    with served.dashboard.database.reading() as db:
        assert db.execute("SELECT count(*) FROM sessions").fetchone() == (
            1,
        )  # the one that ended is gone from the disk


def test_nobody_gets_in_while_the_database_cannot_be_read(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edgeaudio.dashboard.database._LOCK_WAIT_S", 0.05)
    monkeypatch.setattr("edgeaudio.dashboard.sessions._RETRY_S", 0.0)
    with ServedDashboard(tmp_path, users=USERS) as served:
        token = cookie_of(served, "anna").partition("=")[2]
    with lock_of(tmp_path / "d.sqlite", "EXCLUSIVE"):
        served = serve(users=USERS)
        anna = Browser(served.port, Cookie=f"edgeaudio_{served.port}={token}")
        answer = anna.get("/api/fleet")
        assert answer.status == 503
        # whoever asks is a stranger for now: he is not told where the file is
        assert answer.json()["error"].startswith("nobody can log in: the dashboard's database cannot be used now")
        assert anna.role() == "nobody"
        assert caplog.text.count("nobody can log in: history") == 1
    assert anna.role() == "owner"


def test_strangers_are_not_told_where_the_database_is(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve(users=USERS, is_public=True)
    rita = Browser(served.port, Cookie=cookie_of(served, "rita"))
    error = DatabaseError("history /home/anna/d.sqlite: broken", passing=True)
    monkeypatch.setattr(served.dashboard.history, "page", Mock(side_effect=error))
    for browser, is_told in ((Browser(served.port), False), (rita, True), (rita, True)):
        answer = browser.get("/api/events")
        assert answer.status == 503
        assert ("d.sqlite" in answer.json()["error"]) is is_told
    assert caplog.text.count("d.sqlite: broken") == 1


def test_a_damaged_database_ends_all_sessions(serve: Serve, tmp_path: Path) -> None:
    with ServedDashboard(tmp_path, users=USERS) as served:
        token = cookie_of(served, "anna").partition("=")[2]
    for path in tmp_path.glob("d.sqlite*"):
        path.write_bytes(b"damage" * 1000)
    served = serve(users=USERS)
    anna = Browser(served.port, Cookie=f"edgeaudio_{served.port}={token}")
    wait_until(lambda: anna.get("/api/fleet").status in {401, 503}, 10)
    assert anna.role() == "nobody"
    wait_until(lambda: Browser(served.port).log_in().status == 303, 15)


def test_what_changes_something_comes_from_the_page_itself(served: ServedDashboard) -> None:
    own = f"http://127.0.0.1:{served.port}"
    allowed = [
        {"Origin": own},
        {"Origin": own, "Sec-Fetch-Site": "same-origin"},
        # a proxy that was not named has put another Host: the browser says that the page is this server's
        {"Origin": "https://sounds.example.org", "Sec-Fetch-Site": "same-origin"},
    ]
    refused = [
        {"Origin": ""},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "", "Sec-Fetch-Site": "same-origin"},
        {"Origin": own, "Sec-Fetch-Site": "cross-site"},
        {"Origin": own, "Sec-Fetch-Site": "same-site"},
        {"Origin": own, "Sec-Fetch-Site": "none"},
        {"Origin": f"http://localhost:{served.port}"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"},
    ]
    for headers, status in [*((each, 303) for each in allowed), *((each, 403) for each in refused)]:
        assert served.ask("/logout", "POST", headers=headers).status == status, headers
    # reading needs no such proof
    anna = Browser(served.port, Cookie=cookie_of(served, "anna"), **{"Sec-Fetch-Site": "cross-site"})
    assert anna.get("/api/fleet").status == 200


def test_with_a_login_addresses_and_named_hosts_are_served(serve: Serve) -> None:
    served = serve(users=USERS, hosts=frozenset({"sounds.example.org"}))
    for host in ("localhost", "192.168.1.5:8420", "[fd00::5]:8420", "SOUNDS.example.org:443"):
        assert served.ask("/", headers={"Host": host}).status == 200, host
    for host in ("evil.example", "sounds.example.org.evil.example", "192.168.1.5.nip.io", "", "x@localhost"):
        answer = served.ask("/", headers={"Host": host}) if host else no_host(served)
        assert answer.status == 403, host
    assert "set dashboard.hosts" in served.ask("/", headers={"Host": "evil.example"}).json()["error"]


def no_host(served: ServedDashboard) -> Any:
    return ask(served.port, "/", headers={"Host": "["})


def test_metrics_need_a_token_or_a_login_even_where_the_rest_is_public(serve: Serve) -> None:
    served = serve(users=USERS, is_public=True, metrics_token=TOKEN)
    refused = served.ask("/metrics")
    assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    for value in (f"Bearer {TOKEN}x", "Bearer ", TOKEN, f"Basic {TOKEN}", "Bearer \xe9"):
        assert served.ask("/metrics", headers={"Authorization": value}).status == 401
    assert served.ask("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status == 200
    other = serve(users=USERS, metrics_token="ein längeres Wort")
    sent = "Bearer ein längeres Wort".encode().decode("latin-1")  # as Prometheus sends it
    assert other.ask("/metrics", headers={"Authorization": sent}).status == 200
    assert served.ask("/api/sessions", headers={"Authorization": f"Bearer {TOKEN}"}).status == 401
    assert Browser(served.port, Cookie=cookie_of(served, "rita")).get("/metrics").status == 200


def test_the_public_sees_sounds_and_neither_the_spectrogram_nor_hears_them(serve: Serve) -> None:
    served = serve(users=USERS, is_public=True)
    assert served.ask("/api/me").json() == {"user": None, "role": "visitor", "login": True, "session": False}
    with WebSocketClient(served.port) as client:
        assert client.status == 101
    for path in ("/api/live?device=attic&source=porch", "/api/listen?device=attic&source=porch"):
        with WebSocketClient(served.port, path) as client:
            assert client.status in {401, 403}
        with WebSocketClient(served.port, path, Cookie=cookie_of(served, "rita")) as client:
            assert client.status == 101


def test_the_public_sees_states_without_details(serve: Serve) -> None:
    served = serve(users=USERS, is_public=True)
    since = datetime(2026, 11, 30, tzinfo=UTC)
    status = Status("attic", "porch", "waiting", "refused", "192.168.1.20 refuses", since, "", None, None, None)
    served.dashboard.fleet.update(status, time.time(), retained=True)
    rita = Browser(served.port, Cookie=cookie_of(served, "rita"))
    trouble = "disk is full (/home/anna/outbox)"
    health = Health("attic", since, "1", None, 0, 1.0, 50.0, None, None, 0, 0, None, 0, trouble, {})
    served.dashboard.fleet.update(health, time.time(), retained=True)
    for browser, detail in ((Browser(served.port), ""), (rita, "192.168.1.20 refuses")):
        (device,) = browser.get("/api/fleet").json()["devices"]
        assert device["outbox_trouble"] == (detail and trouble)
        (source,) = device["sources"]
        assert (source["state"], source["reason"], source["detail"]) == ("waiting", "refused", detail)


def test_the_public_leaves_websockets_to_those_with_a_login(serve: Serve) -> None:
    served = serve(users=USERS, is_public=True)
    with ExitStack() as stack:
        clients = [stack.enter_context(WebSocketClient(served.port)) for _ in range(51)]
        assert [client.status for client in clients] == [101] * 50 + [403]
        assert stack.enter_context(WebSocketClient(served.port, Cookie=cookie_of(served, "rita"))).status == 101


def test_what_is_no_http_is_refused_with_the_headers_of_all_other_answers(served: ServedDashboard) -> None:
    for request in (b"x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"):
        with closing(socket.create_connection(("127.0.0.1", served.port), 10)) as connection:
            connection.sendall(request)
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"Content-Security-Policy: default-src 'none'" in answer
        assert b"X-Content-Type-Options: nosniff" in answer


def test_passwords_are_checked_one_at_a_time_and_few_wait(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, running, most = threading.Event(), [0], [0]

    def matches(_: Any, __: str) -> bool:
        running[0] += 1
        most[0] = max(most[0], running[0])
        assert may_end.wait(10)
        running[0] -= 1
        return False

    monkeypatch.setattr(PasswordHash, "matches", matches)
    served = serve(users=USERS, trusted_proxies=LOOPBACK)
    statuses: list[int] = []

    def log_in(number: int) -> None:
        headers = {"X-Forwarded-For": f"192.0.2.{number}"}
        statuses.append(Browser(served.port, **headers).log_in().status)

    threads = [threading.Thread(target=log_in, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(statuses) == 4, 10)
    assert statuses == [503] * 4
    may_end.set()
    for thread in threads:
        thread.join(10)
    assert sorted(statuses) == [401] * 8 + [503] * 4
    assert most == [1]


@contextmanager
def lock_of(path: Path, kind: str) -> Iterator[None]:
    """Hold the lock of a database, as another process would: EXCLUSIVE keeps readers out too."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"PRAGMA locking_mode = {'EXCLUSIVE' if kind == 'EXCLUSIVE' else 'NORMAL'}")
        db.execute(f"BEGIN {kind}")
        yield
        db.execute("ROLLBACK")
