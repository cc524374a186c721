"""HTTP proxy on loopback that confines a source to its own class of addresses, and verifies every certificate.

Owns: the proxy's threads, requests and their responses.
Does not know: how a server is reached (origin.py), which addresses have TLS (proxy_addresses.py), what playlists may
hold (proxy_playlists.py), which failure counts (proxy_status.py), logins (FFmpeg sends them).

FFmpeg follows redirects and playlists to any host, and its HLS reader verifies no certificate after that of the first
connection. So FFmpeg speaks plain HTTP to this proxy, without TLS. The proxy makes the connections, only to addresses
of the class of the source's own host (this machine, the local network, the internet). It verifies each certificate,
never leads from https to http, and bounds heads, redirects and playlists. One proxy serves one connection of one
source; a final refusal ends that connection.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from edgeaudio.capture.auth_schemes import explain_login
from edgeaudio.capture.cookies import CookieJar
from edgeaudio.capture.heard_segments import HeardSegments
from edgeaudio.capture.http_message import (
    BrokenOffError,
    Head,
    HeadTooLargeError,
    MessageError,
    body_of,
    length_of,
    read_head,
)
from edgeaudio.capture.live_playlists import LivePlaylists
from edgeaudio.capture.origin import CONNECT_S, Dialler, LeadError, Origin, hide_exemptions
from edgeaudio.capture.playlist import MediaPlaylist
from edgeaudio.capture.proxy_addresses import ProxyAddresses
from edgeaudio.capture.proxy_messages import Request, joined, send, send_list, split_list
from edgeaudio.capture.proxy_playlists import new_part, read_playlist
from edgeaudio.capture.proxy_sockets import ExchangeSockets, OpenSockets
from edgeaudio.capture.proxy_status import ProxyFailure, ProxyStatus, refusal
from edgeaudio.capture.request_pace import RequestPace
from edgeaudio.capture.source_urls import SourceUrl
from edgeaudio.capture.whole_recording import (
    MAX_WHOLE_BYTES,
    TooLongError,
    WholeRecording,
    gives_ranges,
    index_is_last,
    read_front,
)
from edgeaudio.types import Reason

_MAX_CONNECTIONS = 80  # at once; FFmpeg opens one for each list that it reads
_MAX_INTERIM = 8  # responses (1xx) before the response
_RELOAD_S = 1.0  # between two requests for a playlist that has nothing new
_ENDLESS_BYTES = 1 << 40  # as length: the body has no end, and its server must name one
_WAIT_S = 0.2
_PIECE_BYTES = 65536


class HttpProxy:
    """Proxy to the servers of one source. A context manager; the constructor raises OSError if it cannot listen."""

    def __init__(
        self, url: SourceUrl, *, tls_verify: bool, ca_file: Path | None, heard: HeardSegments | None = None
    ) -> None:
        self._has_login = url.username is not None
        self._dialler = Dialler(url.host or "", tls_verify=tls_verify, ca_file=ca_file)
        self._addresses = ProxyAddresses(url)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        self.received = 0  # bytes, from every server of the source
        self._fault: Exception | None = None  # unexpected, in a thread of the proxy
        self._sockets = OpenSockets()
        self._sockets.add(self._server)
        self._status = ProxyStatus()
        self._heard = HeardSegments() if heard is None else heard
        self._live = LivePlaylists(self._heard)
        self._cookies = CookieJar()
        self._pace = RequestPace()
        self._whole: WholeRecording | None = None  # of a server that gives no parts
        self._lock = threading.Lock()  # over all that follows
        self._threads: list[threading.Thread] = []

    @property
    def is_live(self) -> bool | None:
        """True for a live playlist or a body without an end, False for a recording, None: not known yet."""
        return self._status.is_live

    @property
    def failure(self) -> ProxyFailure | None:
        """Why the source cannot be read on, as far as the proxy knows; None if nothing failed, or reading went on."""
        return self._status.failure

    @property
    def has_live_playlist(self) -> bool:
        """True if a live playlist is read, of which nothing comes twice."""
        return bool(self._status.is_live and self._status.has_playlist)

    @property
    def live_began_s(self) -> float | None:
        """Monotonic time before which the first sound of a live playlist was made; None: no such playlist is read."""
        return self._live.began_s

    @property
    def stall_timeout_s(self) -> float:
        """Seconds without sound after which a playlist that is no longer updated is known to be stale."""
        return self._live.stall_timeout_s

    def sound(self) -> None:
        """Note that sound was decoded: the segments passed on so far count as heard."""
        self._heard.sound()

    def __enter__(self) -> Self:
        hide_exemptions()
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything. Raises an unexpected exception of a thread of the proxy, if there was one."""
        self._sockets.shut_down()
        with self._lock:
            threads = self._threads
        self._server.close()
        self._heard.end()
        for thread in threads:
            thread.join(_WAIT_S)  # one may be blocked in the resolver, and ends with it
        if self._fault is not None:
            raise self._fault  # in the reader's thread

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except Exception as error:  # noqa: BLE001 (raised again where the connection is closed)
                self._fault = error
                self._sockets.shut_down()

        thread = threading.Thread(target=guarded, name="proxy", daemon=True)
        with self._lock:
            thread.start()
            self._threads = [thread, *(other for other in self._threads if other.is_alive())]

    def _accept(self) -> None:
        while not self._sockets.closed.is_set():
            try:
                near = self._server.accept()[0]
            except OSError:
                return
            if len(self._threads) > _MAX_CONNECTIONS:
                near.close()
            else:
                self._begin(self._serve, near)

    def _serve(self, near: socket.socket) -> None:
        # a failed exchange is closed without an answer; `failure` has the reason
        with ExchangeSockets(self._sockets) as sockets, contextlib.suppress(OSError, ValueError):
            sockets.add(near)
            near.settimeout(CONNECT_S)
            head, _ = read_head(lambda: near.recv(_PIECE_BYTES))
            near.settimeout(None)  # FFmpeg may read as slowly as it likes
            request = Request.parse(head)
            if self._sockets.closed.wait(self._pace.wait_s()):
                return
            try:
                self._exchange(request, near, sockets)
            except LeadError as error:
                self._failed(request.url, error)
            except HeadTooLargeError as error:
                refused = LeadError(Reason.TOO_LARGE, f"{request.where} answers with more than fits: {error}", "")
                self._failed(request.url, refused)
            except MessageError:
                self._failed(request.url, LeadError(Reason.INVALID_DATA, f"{request.where} does not speak HTTP"))
            except BrokenOffError as error:
                self._failed(request.url, LeadError(Reason.END_OF_STREAM, f"{request.where} broke off: {error}", ""))
            except MemoryError:  # FFmpeg keeps what it reads, so memory may run out here
                detail = f"{request.where} sends more than there is memory for"
                self._failed(request.url, LeadError(Reason.TOO_LARGE, detail, "", final=True))

    def _failed(self, url: str, error: LeadError) -> None:
        self._status.failed(url, error)
        if error.final:
            self._sockets.shut_down()

    # one request and its response

    def _exchange(self, request: Request, near: socket.socket, sockets: ExchangeSockets) -> None:
        origin = self._addresses.origin(request)
        if self._whole is not None and self._whole.url == request.url:
            self._whole.send(near, request.offset)
            return
        redirected = self._status.requested(request.url, origin)
        while (wait_s := self._ask(request, origin, near, sockets, redirected=redirected)) is not None:
            self._wait(near, wait_s)

    def _ask(
        self, request: Request, origin: Origin, near: socket.socket, sockets: ExchangeSockets, *, redirected: bool
    ) -> float | None:
        """Pass the response of the server on; or return the seconds after which to ask again."""
        try:
            far, proxy = self._dialler.connect(origin, sockets.add)
        except LeadError as error:
            if redirected and not error.final:
                error.detail += ", to where a redirect led"
            raise
        with sockets.until_closed(far):
            far.sendall(request.head_for(origin, proxy, self._cookies.header(origin, request.target)))
            far.settimeout(0)
            waiting = select.poll()
            for end in (near, far):
                waiting.register(end, select.POLLIN)

            def receive() -> bytes:
                return self._receive(near, far, waiting)

            try:
                response, rest = read_head(receive)
            except BrokenOffError:
                detail = f"{origin} closed the connection without an answer"
                raise LeadError(Reason.INVALID_DATA, detail, "") from None
            for _ in range(_MAX_INTERIM):
                if response.status // 100 != 1:
                    break
                response, rest = read_head(receive, rest)
            for name, value in response.headers:
                if name.lower() == "set-cookie":
                    self._cookies.take(origin, request.target, value)
            response.headers = response.without("set-cookie")
            return self._respond(request, origin, response, body_of(response, rest, receive), near)

    def _wait(self, near: socket.socket, wait_s: float) -> None:
        """Wait before the server is asked again. Raises ConnectionError if the client has gone."""
        waiting = select.poll()
        waiting.register(near, select.POLLIN)
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._sockets.closed.is_set() or waiting.poll(min(left_s, _WAIT_S) * 1000):
                raise ConnectionAbortedError

    def _respond(
        self, request: Request, origin: Origin, response: Head, body: Iterator[bytes], near: socket.socket
    ) -> float | None:
        status = response.status
        if status // 100 == 3 and (location := response.get("location")):
            target = self._addresses.redirect(request, origin, location)
            self._status.redirected(request.url, Request.url_of(urlsplit(target)))
            response.headers = [*response.without("location", "content-length"), ("Location", target)]
        if status >= 400:
            server = self._status.name_of(request, origin)
            refused = refusal(server, status)
            if status == 401 and server == "the server":
                challenges = [value for name, value in response.headers if name.lower() == "www-authenticate"]
                refused = LeadError(*explain_login(challenges, given=self._has_login))
            self._failed(request.url, refused)
        if request.method == "HEAD" or status // 100 == 3 or status == 204:
            send(near, response, iter(()), chunks=False)
        elif status // 100 == 2:
            return self._pass(request, origin, response, body, near)
        else:
            send(near, response, body, chunks=False)
        return None

    def _receive(self, near: socket.socket, far: socket.socket, waiting: select.poll) -> bytes:
        """Return the next bytes of `far`. Raises ConnectionError if the client has gone."""
        while not self._sockets.closed.is_set():
            try:
                data = far.recv(_PIECE_BYTES)
                self.received += len(data)  # not locked: it need not be exact
                return data  # noqa: TRY300 (nothing above raises but recv)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            except OSError as error:
                raise BrokenOffError(error.strerror) from None
            # FFmpeg sends nothing after its request, so a readable socket means that FFmpeg closed it
            if near.fileno() in (end for end, _ in waiting.poll(_WAIT_S * 1000)):
                break
        raise ConnectionAbortedError

    # bodies

    def _pass(
        self, request: Request, origin: Origin, response: Head, body: Iterator[bytes], near: socket.socket
    ) -> float | None:
        start, is_list = split_list(body) if request.from_start else (b"", False)
        if is_list:
            playlist = read_playlist(request, origin, joined(start, body), self._addresses)
            self._status.found_playlist(request, origin, playlist)
            if isinstance(playlist, MediaPlaylist):
                part = new_part(self._live, request, origin, playlist)
                if part is None:
                    self._failed(request.url, LeadError(Reason.TIMEOUT, "the playlist has nothing new as yet"))
                    return _RELOAD_S
                playlist = part
            self._status.read(request.url, is_list=True)
            send_list(near, response, playlist.text().encode("latin-1"))
            return None
        if request.from_start and not gives_ranges(response):
            start = read_front(start, body)
            if not self._status.has_playlist and index_is_last(start):
                self._send_whole(request, origin, response, joined(start, body), near)
                return None
        icy = any(name.lower().startswith("icy-") for name, _ in response.headers)
        length = length_of(response)
        self._status.found_body(is_live=icy or length is None or length >= _ENDLESS_BYTES)
        self._status.read(request.url, is_list=False)
        self._live.begin((request.url, request.offset))
        send(near, response, joined(start, body), chunks=request.knows_chunks)
        return None

    def _send_whole(
        self, request: Request, origin: Origin, response: Head, body: Iterator[bytes], near: socket.socket
    ) -> None:
        """Pass a recording on and keep it, so that FFmpeg may seek in it. Raises LeadError."""
        try:
            whole = WholeRecording(request.url, response, body)
        except TooLongError:
            detail = (
                f"the recording has its index at its end, and {origin} gives no parts of it (byte ranges):"
                f" it is read up to {MAX_WHOLE_BYTES >> 20} MiB"
            )
            hint = "put the index in front: ffmpeg -i IN -c copy -movflags +faststart OUT"
            raise LeadError(Reason.TOO_LARGE, detail, hint, final=True) from None
        self._whole = whole
        self._status.found_recording()
        self._status.read(request.url, is_list=False)
        whole.send(near, 0)
