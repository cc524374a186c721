"""The dashboard behind a real nginx, and behind what does as Home Assistant's ingress does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="starlette is not installed: the extra `dashboard` brings it")

from support.dashboard_access import LOOPBACK, USERS, Browser, ServedDashboard, ask
from support.dashboards import WebSocketClient
from support.proxies import INGRESS, ingress_before, nginx_before

from edgeaudio.dashboard.roles import Role

Serve = Callable[..., ServedDashboard]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    with ExitStack() as stack:
        yield lambda **access: stack.enter_context(ServedDashboard(tmp_path, **access))


def test_behind_nginx_the_login_holds_for_its_path_alone(serve: Serve, tmp_path: Path) -> None:
    served = serve(users=USERS, trusted_proxies=LOOPBACK)
    with nginx_before(served.port, tmp_path) as port:
        assert ask(port, "/x/").body == served.ask("/").body
        assert ask(port, "/x").status in {301, 308}
        browser = Browser(port, "/x", **{"X-Forwarded-For": "192.0.2.1", "X-Ingress-Path": "/evil"})
        answer = browser.log_in(back="?view=history")
        assert (answer.status, answer.headers["location"]) == (303, "./?view=history")
        assert "; Path=/x; " in answer.headers["set-cookie"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert browser.role() == "owner"
        (session,) = browser.get("/api/sessions").json()["sessions"]
        assert session["address"] == "127.0.0.1"  # what the browser says of itself does not count
        with WebSocketClient(port, "/x/api/live", Cookie=browser.cookie) as client:
            assert client.status == 101
            assert "broker" in client.read()
        with WebSocketClient(port, "/x/api/live", Cookie=browser.cookie, Origin="http://evil.example") as client:
            assert client.status == 403
        with WebSocketClient(port, "/x/api/live") as client:
            assert client.status == 401


def test_a_proxy_that_keeps_the_path_needs_the_setting(serve: Serve) -> None:
    served = serve(users=USERS, base_path="/x/y")
    browser = Browser(served.port, "/x/y")
    assert "; Path=/x/y; " in browser.log_in().headers["set-cookie"]
    assert browser.role() == "owner"
    assert browser.get("/").status == 200
    redirect = served.ask("/x/y")
    assert (redirect.status, redirect.headers["location"]) == (308, "/x/y/")
    assert served.ask("/").status == 200  # who strips it


def test_tls_before_the_dashboard_makes_cookies_secure(serve: Serve) -> None:
    proxy = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "sounds.example.org",
        "Origin": "https://sounds.example.org",
    }
    served = serve(users=USERS, trusted_proxies=LOOPBACK)
    browser = Browser(served.port, **proxy)
    cookie = browser.log_in().headers["set-cookie"]
    assert cookie.startswith(f"__Host-edgeaudio_{served.port}=")
    assert cookie.endswith("; Path=/; Max-Age=7776000; HttpOnly; Secure; SameSite=Strict")
    assert browser.role() == "owner"
    under = Browser(served.port, **proxy, **{"X-Forwarded-Prefix": "/x"})
    assert under.log_in().headers["set-cookie"].startswith(f"__Secure-edgeaudio_{served.port}=")
    plain = Browser(served.port, **proxy | {"Origin": "http://sounds.example.org"})
    assert plain.log_in().status == 403  # a page without TLS, as somebody on the way could have made


def test_in_a_frame_of_another_site_the_cookie_is_of_that_frame(serve: Serve) -> None:
    served = serve(users=USERS, trusted_proxies=LOOPBACK, frame_ancestors=("https://home.example",))
    https = {"X-Forwarded-Proto": "https", "Origin": f"https://127.0.0.1:{served.port}"}
    answer = Browser(served.port, **https).log_in()
    assert answer.headers["set-cookie"].endswith("; HttpOnly; Secure; SameSite=None; Partitioned")
    assert answer.headers["content-security-policy"].endswith("frame-ancestors https://home.example")
    assert Browser(served.port).log_in().headers["set-cookie"].endswith("; HttpOnly; SameSite=Strict")


def test_an_ingress_names_the_user_and_may_show_the_page_in_a_frame(serve: Serve) -> None:
    served = serve(users=USERS, trusted_proxies=LOOPBACK, user_header="X-Remote-User-Name", user_role=Role.READER)
    for user, role in (("Anna", "owner"), ("somebody", "reader")):
        with ingress_before(served.port, user) as port:
            browser = Browser(port, INGRESS, **{"X-Remote-User-Name": "rita"})
            me = browser.get("/api/me").json()
            assert me == {"user": user.lower(), "role": role, "login": True, "session": False}
            assert browser.get("/").headers["content-security-policy"].endswith("frame-ancestors 'self'")
            assert browser.get("/login").headers["location"] == "./"
            with WebSocketClient(port, f"{INGRESS}/api/live") as client:
                assert client.status == 101
            assert browser.post("/api/sessions/end").status == 404  # it has none, and came from the page itself
            foreign = Browser(port, INGRESS, Origin="http://evil.example")
            assert foreign.post("/api/sessions/end").status == 403


def test_users_whom_a_proxy_names_are_nobody_unless_the_settings_know_them(serve: Serve) -> None:
    served = serve(users=USERS, trusted_proxies=LOOPBACK, user_header="X-User")
    assert Browser(served.port, **{"X-User": "somebody"}).role() == "nobody"
    assert Browser(served.port, **{"X-User": "rita"}).role() == "reader"
    assert served.ask("/login", headers={"X-User": "somebody"}).status == 200
    somebody = Browser(served.port, **{"X-User": "somebody"})
    somebody.log_in()  # by a password of the settings
    assert somebody.role() == "owner"


def test_headers_that_name_a_user_count_from_trusted_proxies_alone(serve: Serve) -> None:
    other = (LOOPBACK[0].supernet(new_prefix=31).subnets(new_prefix=32).__next__(),)  # 127.0.0.0
    served = serve(users=USERS, trusted_proxies=other, user_header="X-User", user_role=Role.OWNER)
    assert Browser(served.port, **{"X-User": "anna", "X-Forwarded-For": "127.0.0.0"}).role() == "nobody"


def test_where_only_a_proxy_logs_in_the_login_says_so(serve: Serve) -> None:
    served = serve(trusted_proxies=LOOPBACK, user_header="X-User", user_role=Role.READER)
    answer = served.ask("/login")
    assert answer.status == 403
    assert "Log in at the proxy through which this page is reached." in answer.body.decode()
    assert b"<form" not in answer.body
    assert served.ask("/api/fleet").status == 401
