"""A connection to a recogniser for one utterance: its time limit, its bounds, its end from another thread.

Owns: name resolution, sockets, TLS by the system's authorities, and the sentences for what fails on the way.
Does not know: protocols.

One connection carries one utterance. Utterances are seconds apart, and servers of Wyoming close after each.
"""

from __future__ import annotations

import errno
import io
import os
import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edgeaudio.network_errors import NetworkFault, diagnose
from edgeaudio.speech.config import Address
from edgeaudio.speech.recogniser import RecogniserError
from edgeaudio.tls_errors import Peer

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

    Place = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
    Found = list[tuple[socket.AddressFamily, Place]]

# bytes of all answers of a connection; those of 30 s of speech have some 10 000. JSON can take 25 times as much memory
MAX_RECEIVED: Final = 1_000_000
_POLL_S: Final = 0.1  # between two looks whether a call was ended, where nothing wakes it
_PEER: Final = Peer("the server", "an authority of this system (or by SSL_CERT_FILE)", "the address", "")

_CHECK_TLS: Final = "see whether the port speaks TLS, and which versions"
_SENTENCES: Final = {  # {words} are the system's or OpenSSL's
    NetworkFault.INVALID_NAME: ("the host name is none", "correct the address"),
    NetworkFault.NAME_NOT_FOUND: ("the host name does not resolve ({words})", "check the host name and the DNS"),
    NetworkFault.UNREACHABLE: ("no route to it", "check the network"),
    NetworkFault.REFUSED: ("nothing listens on that port", "check the port, and that the recogniser runs"),
    NetworkFault.TIMEOUT: ("connecting took too long", "check the address, and that no firewall is between"),
    NetworkFault.CLOSED: ("it cut the connection", "look at the recogniser's log"),
    NetworkFault.NO_TLS: ("it does not speak TLS on that port", "use an address without TLS, or its port for TLS"),
    NetworkFault.TLS_CLOSED: ("it hung up during the TLS handshake", _CHECK_TLS),
    NetworkFault.TLS_ALERT: ("TLS failed: {words}", _CHECK_TLS),
    NetworkFault.TLS_FAILED: ("TLS failed: {words}", _CHECK_TLS),
    NetworkFault.UNTRUSTED: ("its certificate is not trusted: {words}", "let this system trust its authority"),
    NetworkFault.CLOCK: ("its certificate is not trusted: {words}", "set this machine's clock"),
    NetworkFault.OTHER: ("{words}", "check the address and the network"),
}


class Call:
    """The time limit of one utterance, and what another thread ends it by."""

    def __init__(self, where: str, timeout_s: float) -> None:
        self.where = where
        self._timeout_s = timeout_s
        self._until_s = time.monotonic() + timeout_s
        self._ended = threading.Event()
        self._lock = threading.Lock()  # of the socket
        self._socket: socket.socket | None = None

    def end(self) -> None:
        """Have whatever waits in this call raise soon. May be called from any thread."""
        self._ended.set()
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):
                    # of the socket below TLS: wakes whoever reads or writes, and touches nothing of OpenSSL's
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def left_s(self) -> float:
        """Return the seconds left, above 0. Raises RecogniserError if there are none, or the call was ended."""
        if self._ended.is_set():
            raise RecogniserError(f"recogniser {self.where}: closed while it was asked")
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise RecogniserError(
                f"recogniser {self.where}: no answer within {self._timeout_s:g} s; see whether it is overloaded, "
                "choose a smaller model, or allow it more time"
            )
        return left_s

    def failure(self, error: OSError | ValueError) -> RecogniserError:
        """Return what an exception of the network means."""
        diagnosis = diagnose(error, _PEER)
        sentence, hint = _SENTENCES[diagnosis.fault]
        return self.fault(sentence.format(words=diagnosis.words), diagnosis.hint or hint)

    def fault(self, what: str, hint: str, *, is_final: bool = False, is_for_all: bool = False) -> RecogniserError:
        """Return the error that says what is wrong with this recogniser, and what to do."""
        return RecogniserError(f"recogniser {self.where}: {what}; {hint}", is_final=is_final, is_for_all=is_for_all)

    def nonsense(self, what: str) -> RecogniserError:
        """Return the error for an answer that is none of the protocol."""
        return self.fault(f"its answer {what}", "check that the address is a speech recogniser of that kind")

    def connect(self, address: Address, context: ssl.SSLContext | None) -> Wire:
        """Return a connection. Raises RecogniserError."""
        try:
            connected = self._first_of(self._resolve(address))
            if context is not None:
                secure = context.wrap_socket(connected, server_hostname=address.host, do_handshake_on_connect=False)
                self._adopt(secure)
                secure.settimeout(self.left_s())
                secure.do_handshake()
                connected = secure
        except (OSError, ValueError) as error:  # ValueError: a host name that no certificate or name server can have
            self.left_s()
            failure = self.failure(error)
            failure.is_for_all = True
            raise failure from None
        return Wire(self, connected)

    def release(self) -> None:
        """Close the socket, if there is one."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _adopt(self, new: socket.socket) -> None:
        """Have `end` reach a socket from now on."""
        with self._lock:
            self._socket = new
        self.left_s()

    def _resolve(self, address: Address) -> Found:
        """Return the addresses of a host.

        A resolver cannot be interrupted and has limits of its own, up to half a minute: it is asked by a thread that
        this call does not wait for when it is ended.
        """
        answer: list[Found | OSError | ValueError] = []
        done = threading.Event()

        def ask(flags: int = 0) -> None:
            try:
                found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=flags)
                answer.append([(family, place) for family, _, _, _, place in found])
            except (OSError, ValueError) as error:
                answer.append(error)
            done.set()

        ask(socket.AI_NUMERICHOST)  # an address needs no resolver, and no thread
        if isinstance(answer[0], socket.gaierror):
            answer.clear()
            done.clear()
            threading.Thread(target=ask, name="resolver", daemon=True).start()
            while not done.wait(min(self.left_s(), _POLL_S)):
                pass
        if isinstance(answer[0], OSError | ValueError):
            raise answer[0]
        return answer[0]

    def _first_of(self, found: Found) -> socket.socket:
        """Return a connection to the first address that answers; each has its share of the time that is left."""
        failure: OSError = OSError(errno.EADDRNOTAVAIL, "no address")
        for tried, (family, place) in enumerate(found):
            try:
                return self._one(family, place, self.left_s() / (len(found) - tried))
            except OSError as error:
                failure = error
                self.release()
        raise failure

    def _one(self, family: socket.AddressFamily, place: Place, timeout_s: float) -> socket.socket:
        new = socket.socket(family, socket.SOCK_STREAM)
        self._adopt(new)
        new.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        new.settimeout(0)
        number = new.connect_ex(place)
        if number == errno.EINPROGRESS:
            until_s = time.monotonic() + timeout_s
            poll = select.poll()
            poll.register(new, select.POLLOUT)
            while not poll.poll(_POLL_S * 1000):
                if self.left_s() and time.monotonic() > until_s:
                    raise TimeoutError
            self.left_s()
            number = new.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        return new


class Wire:
    """A connected socket whose every wait ends with the call, and which receives MAX_RECEIVED bytes at most."""

    def __init__(self, call: Call, connected: socket.socket) -> None:
        self.call = call
        self._socket = connected
        self._received = 0
        self._broken = False

    def send(self, data: ReadableBuffer) -> None:
        """Send all of it. Where the peer closed, nothing more is sent: what it said before is still to be received."""
        left = memoryview(data).cast("B")
        while left and not self._broken:
            self._socket.settimeout(self.call.left_s())
            try:
                left = left[self._socket.send(left) :]
            except TimeoutError:
                continue  # `left_s` says it
            except OSError as error:
                self.call.left_s()
                if not isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
                    raise self.call.failure(error) from None
                self._broken = True

    def receive(self, most: int = 65536, wait_s: float | None = None) -> bytes:
        """Receive some bytes; none: the peer closed. Raises RecogniserError, and TimeoutError after `wait_s`."""
        buffer = bytearray(most)
        return bytes(buffer[: self.receive_into(buffer, wait_s)])

    def receive_into(self, buffer: WriteableBuffer, wait_s: float | None = None) -> int:
        """Like `receive`, into a buffer; returns how many bytes came."""
        if self._received > MAX_RECEIVED:
            raise self.call.nonsense(f"goes on beyond {MAX_RECEIVED} bytes")
        left_s = self.call.left_s()
        self._socket.settimeout(left_s if wait_s is None else min(left_s, max(wait_s, 0.001)))
        try:
            count = self._socket.recv_into(buffer)
        except TimeoutError:
            self.call.left_s()
            if wait_s is None:  # woken a moment before the limit
                return self.receive_into(buffer)
            raise
        except OSError as error:
            self.call.left_s()
            if isinstance(error, ConnectionError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
                return 0
            raise self.call.failure(error) from None
        self.call.left_s()  # an end from another thread looks like one by the peer
        self._received += count
        return count

    # what http.client asks of a socket

    def sendall(self, data: ReadableBuffer) -> None:
        self.send(data)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Do nothing: http.client closes before it reads the answer's body. The call closes the socket."""


class _Reader(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        return self._wire.receive_into(buffer)


def verifying_context() -> ssl.SSLContext:
    """Return a context that verifies by the system's authorities, as the agent's other connections do."""
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # authorities made by plain openssl break its rules
    return context
