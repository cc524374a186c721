"""Logging in and out, and which sessions there are.

Owns: the form, the check of passwords and its limits, `/api/me` and `/api/sessions`.
Does not know: how a request comes by its role (access.py), how sessions are kept.

Passwords are checked one at a time, in a thread: each check takes 16 MiB and, on a server, 0.4 s of a core. A name that
nobody has takes as long as one that somebody has.
"""

from __future__ import annotations

import asyncio
import html
import logging
import re
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs

from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from edgeaudio.dashboard.config import AccessConfig
from edgeaudio.dashboard.database import DatabaseError
from edgeaudio.dashboard.rates import Buckets, bucket_of
from edgeaudio.dashboard.sessions import Session, Sessions
from edgeaudio.dashboard.web.access import set_cookie
from edgeaudio.dashboard.web.answers import json_answer, problem
from edgeaudio.dashboard.web.guard import too_many
from edgeaudio.dashboard.web.routes import AnyRoute, Role, get, peer_of, post, role_of, session_of, user_of
from edgeaudio.password_hashes import MAX_PASSWORD, PasswordHash

log = logging.getLogger(__name__)

_MAX_FORM: Final = 16_384  # bytes
_FORM_LIMIT_S: Final = 10.0
_MAX_NAME: Final = 64
_MAX_BROWSER: Final = 200
_MAX_WAITING: Final = 8  # for the check of a password
# failed logins: of one address, and of all from which nobody is logged in. The owner cannot be locked out by others
_OF_ADDRESS: Final = (10, 60.0)
_OF_ALL: Final = (60, 10.0)
_NEXT: Final = re.compile(r"\?[A-Za-z0-9._~%!$&*+,;=:@/?-]{0,2000}")
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in: edgeaudio</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="page.css">
</head>
<body>
<main id="main">
<h1>edgeaudio</h1>
{error}{form}</main>
</body>
</html>
"""
_FORM: Final = """<form method="post" action="login">
<input type="hidden" name="next" value="{next}">
<label>Name
<input name="user" value="{user}" autocomplete="username" autocapitalize="none" spellcheck="false" required></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required></label>
<button>Log in</button>
</form>
"""


class LoginRoutes:
    """The handlers."""

    def __init__(self, config: AccessConfig, sessions: Sessions) -> None:
        self._config = config
        self._sessions = sessions
        self._of_address = Buckets(*_OF_ADDRESS)
        self._of_all = Buckets(*_OF_ALL)
        self._checking = asyncio.Lock()
        self._waiting = 0
        known = [user.password for user in config.users.values() if user.password is not None]
        self._nobodys = max(known, key=lambda each: (each.r << each.ln) * each.p).like() if known else None

    def routes(self) -> list[AnyRoute]:
        """Return the routes."""
        return [
            get("/api/me", self._get_me, Role.NOBODY),
            get("/login", self._get_login, Role.NOBODY),
            post("/login", self._post_login, Role.NOBODY),
            post("/logout", self._post_logout, Role.NOBODY),
            get("/api/sessions", self._get_sessions, Role.READER),
            post("/api/sessions/end", self._post_end_all, Role.READER),
            post("/api/sessions/{number}/end", self._post_end, Role.READER),
        ]

    async def _get_me(self, request: Request) -> Response:
        return json_answer(
            {
                "user": user_of(request),
                "role": role_of(request).word,
                "login": self._config.has_login,
                "session": session_of(request) is not None,
            }
        )

    async def _get_login(self, request: Request) -> Response:
        back = _next(request.query_params.get("next", ""))
        if role_of(request) >= Role.READER:
            return _go(f"./{back}")
        if self._nobodys is None:
            return _page(403, error="Log in at the proxy through which this page is reached.", form="")
        return _page(200, back)

    async def _post_login(self, request: Request) -> Response:
        """Log somebody in whose name and password are right; each session has a new id."""
        form = await _form(request)
        user, password, back = (
            form.get("user", "").strip().lower(),
            form.get("password", ""),
            _next(form.get("next", "")),
        )
        address = peer_of(request).address
        if wait_s := self._take_attempt(address):
            refusal = too_many("too many failed logins", wait_s)
            answer = _page(429, back, user, f"Too many failed logins: try again in {refusal.headers['Retry-After']} s.")
            answer.headers["Retry-After"] = refusal.headers["Retry-After"]
            return answer
        if self._waiting >= _MAX_WAITING:
            self._give_back(address)
            return _page(503, back, user, "Too many log in at once: try again in a few seconds.")
        if not await self._is_right(user, password):
            log.warning("login as %s from %s refused: wrong name or password", _shown(user), address)
            return _page(401, back, user, "Wrong name or password.")
        self._give_back(address)
        try:
            token = await to_thread.run_sync(self._begin, request, user)
        except DatabaseError as error:
            log.warning("login as %s from %s: %s", _shown(user), address, error)
            return _page(503, back, user, f"Nobody can log in: {error.public}.")
        log.info("%s logged in from %s", user, address)
        answer = _go(f"./{back}")
        answer.headers["Set-Cookie"] = set_cookie(token, self._config, peer_of(request))
        return answer

    def _begin(self, request: Request, user: str) -> str:
        if old := session_of(request):
            self._sessions.end(lambda each: each.number == old.number)
        browser = _shown(request.headers.get("user-agent", ""), _MAX_BROWSER)
        return self._sessions.begin(user, peer_of(request).address, browser, time.time())

    async def _is_right(self, user: str, password: str) -> bool:
        known = self._config.users.get(user)
        wanted: PasswordHash | None = (known.password if known else None) or self._nobodys
        if wanted is None or not 0 < len(password.encode(errors="replace")) <= MAX_PASSWORD:
            return False
        self._waiting += 1
        try:
            async with self._checking:
                is_match = await to_thread.run_sync(wanted.matches, password)
        finally:
            self._waiting -= 1
        return is_match and known is not None and wanted is known.password

    def _take_attempt(self, address: str) -> float:
        """Count an attempt as failed, until it has succeeded; return 0, or the seconds until there may be one."""
        now_s, bucket = time.monotonic(), bucket_of(address)
        if wait_s := self._of_address.take(bucket, now_s):
            return wait_s
        if self._sessions.knows(bucket, time.time()):
            return 0.0
        if wait_s := self._of_all.take("", now_s):
            self._of_address.give_back(bucket, now_s)  # the password was not even looked at
        return wait_s

    def _give_back(self, address: str) -> None:
        self._of_address.give_back(bucket_of(address), time.monotonic())
        self._of_all.give_back("", time.monotonic())

    async def _post_logout(self, request: Request) -> Response:
        if session := session_of(request):
            await self._end(request, lambda each: each.number == session.number)
        answer = _go("login")
        answer.headers["Set-Cookie"] = set_cookie("", self._config, peer_of(request))
        return answer

    async def _get_sessions(self, request: Request) -> Response:
        own, user = session_of(request), user_of(request)
        found = [
            {
                "number": each.number,
                "user": each.user,
                "begun": round(1000 * each.begun_s),
                "seen": round(1000 * each.seen_s),
                "address": each.address,
                "browser": each.browser,
                "own": own is not None and each.number == own.number,
            }
            for each in self._sessions.all(time.time())
            if _may_see(request, each, user)
        ]
        return json_answer({"sessions": found})

    async def _post_end_all(self, request: Request) -> Response:
        """End all sessions of whoever asks, this one too."""
        user = user_of(request)
        return await self._end(request, lambda each: each.user == user)

    async def _post_end(self, request: Request) -> Response:
        """End one session: his own of a reader, any of an owner."""
        number, user = request.path_params["number"], user_of(request)
        return await self._end(request, lambda each: str(each.number) == number and _may_see(request, each, user))

    async def _end(self, request: Request, chosen: Callable[[Session], bool]) -> Response:
        try:
            ended = await to_thread.run_sync(self._sessions.end, chosen)
        except DatabaseError as error:
            log.warning("sessions ended by %s: %s; it is tried again", _shown(user_of(request) or ""), error)
            return problem(503, f"ended, but this is not on disk yet, and is tried again: {error}")
        return json_answer({"ended": ended}) if ended else problem(404, "there is no such session: it is over")


def _may_see(request: Request, session: Session, user: str | None) -> bool:
    return role_of(request) is Role.OWNER or (user is not None and session.user == user)


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form; of too long or too slow a one, none."""
    body = b""
    try:
        async with asyncio.timeout(_FORM_LIMIT_S):
            async for part in request.stream():
                body += part
                if len(body) > _MAX_FORM:
                    return {}
    except (TimeoutError, ClientDisconnect):
        return {}
    try:
        fields = parse_qs(body.decode("ascii"), max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _page(status: int, back: str = "", user: str = "", error: str = "", form: str = _FORM) -> Response:
    text = f'<p class="error" role="alert">{html.escape(error)}</p>\n' if error else ""
    page = _PAGE.format(error=text, form=form.format(next=html.escape(back), user=html.escape(user[:_MAX_NAME])))
    return Response(page, status, headers={"Content-Type": "text/html; charset=utf-8"})


def _go(address: str) -> Response:
    """Send the browser elsewhere, by an address that is relative: below a proxy's path too."""
    return Response(status_code=303, headers={"Location": address})


def _next(text: str) -> str:
    """Return the query of the view that was wanted; nothing else can be the way after a login."""
    return text if _NEXT.fullmatch(text) else ""


def _shown(text: str, limit: int = _MAX_NAME) -> str:
    """Return what somebody sent, on one line of the log."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:limit])
