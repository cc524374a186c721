"""Why a film cannot be pushed, in words for its user. Pure."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class PushFault:
    """A reason, and what to do; neither holds an address."""

    words: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.words}; {self.hint}" if self.hint else self.words


STALLED: Final = PushFault("the server took nothing for {:g} s", "restart it, or look at the line to it")
NOT_OPENED: Final = PushFault(
    "the server did not take the stream within {:g} s", "check that it is one that takes films"
)
ENDED: Final = PushFault("the connection was closed", "look at the server's log")
_LOGIN: Final = PushFault("the server refuses the login", "check the username and password, and who may publish there")
_NO_NAME: Final = PushFault("the host name is not known", "check the host name and the name server")
_REFUSED: Final = PushFault("nothing listens on that port", "check the port, and that the server runs")
_PATH: Final = PushFault("the server has no such path", "check the path, and that films may be published there")
_NO_RECORD: Final = PushFault(
    "the server takes no stream at that path", "choose one where films may be published (RECORD)"
)
_CERTIFICATE: Final = PushFault(
    "the server's certificate is not trusted", "have it signed by an authority that this machine trusts"
)
_BY_KIND: Final = {
    "gaierror": _NO_NAME,
    "ConnectionRefusedError": _REFUSED,
    "HTTPUnauthorizedError": _LOGIN,
    "HTTPForbiddenError": _LOGIN,
    "HTTPNotFoundError": _PATH,
    "HTTPBadRequestError": _NO_RECORD,
    "HTTPClientError": _NO_RECORD,
    "HTTPServerError": PushFault("the server failed (5xx)", "look at its log"),
}
_GONE: Final = {errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED, errno.EIO}
_KILLED: Final = PushFault("the process that pushes was ended", "see whether this machine's memory is full")
_TIMED_OUT: Final = PushFault("the server no longer answers", "check that it runs, and the network")


def fault_of(fields: Mapping[str, object]) -> PushFault:
    """Return the reason for what the pushing process answered at its end; fields: as film_pusher.py gives them."""
    if not fields:
        return _KILLED
    kind, number = fields.get("kind"), fields.get("errno")
    if fields.get("certificate"):
        return _CERTIFICATE
    if isinstance(kind, str) and kind in _BY_KIND:
        return _BY_KIND[kind]
    if isinstance(number, int) and number == errno.ETIMEDOUT:
        return _TIMED_OUT
    if isinstance(number, int) and 0 < number < 200 and number not in _GONE:
        return PushFault(os.strerror(number).lower(), "check the address and the network")
    return ENDED


def with_seconds(fault: PushFault, seconds: float) -> PushFault:
    """Return a fault with the time in its words."""
    return PushFault(fault.words.format(seconds), fault.hint)
