"""How to reach a recogniser, and the syntax of its address.

Owns: the configuration, which schemes there are, and the refusal of addresses that can be read in two ways.
Does not know: protocols, settings.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from edgeaudio.speech.recogniser import RecogniserError
from edgeaudio.urls import HIDDEN, Url, UrlSyntaxError, shown_rest, split_url


class _Scheme(NamedTuple):
    port: int
    tls: bool
    example: str


_WYOMING: Final = "wyoming://whisper.local:10300"
_HTTP: Final = "http://whisper.local:8000/v1"
_FUNASR: Final = "funasr+ws://funasr.local:10095"
_SCHEMES: Final = {
    "wyoming": _Scheme(10300, tls=False, example=_WYOMING),
    "http": _Scheme(80, tls=False, example=_HTTP),
    "https": _Scheme(443, tls=True, example=_HTTP.replace("http:", "https:")),
    "funasr+ws": _Scheme(10095, tls=False, example=_FUNASR),
    "funasr+wss": _Scheme(10095, tls=True, example=_FUNASR.replace("+ws:", "+wss:")),
}
_WORD: Final = re.compile(r"[!-~]{1,4096}")  # what a header can carry, without a blank
_LONGEST_NAME: Final = 256
_SHORTEST_VALUE: Final = 6  # of a query, that may be a secret by itself: mode=2pass is none


@dataclass(frozen=True, slots=True)
class RecogniserConfig:
    """A recogniser, as settings or options name it."""

    url: str = field(repr=False)
    model: str | None = None  # None: the recogniser's own
    language: str | None = None  # None: the recogniser guesses
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0  # for an utterance: connecting, sending, recognising


@dataclass(frozen=True, slots=True)
class Address:
    """The parts of a recogniser's address."""

    scheme: str
    host: str
    port: int
    tls: bool
    path: str = field(repr=False)
    query: str = field(repr=False)
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)

    @property
    def where(self) -> str:
        """The address without login, path and query."""
        return f"{self.scheme}://{Url(self.scheme, self.host, self.port).place}"


def authorization(address: Address, config: RecogniserConfig) -> dict[str, str]:
    """Return the header with the login, if there is one. Raises RecogniserError for two."""
    if config.api_key is not None and address.username is not None:
        raise RecogniserError(
            f"the recogniser {address.where} has a login in its address and an API key: leave one out"
        )
    if config.api_key is not None:
        return {"Authorization": f"Bearer {config.api_key}"}
    if address.username is not None:
        login = f"{address.username}:{address.password or ''}"
        return {"Authorization": f"Basic {b64encode(login.encode()).decode()}"}
    return {}


def secrets_of(address: Address, config: RecogniserConfig) -> tuple[str, ...]:
    """Return what no message may repeat though a server says it: logins, and secrets in the address; longest first."""
    login = authorization(address, config).get("Authorization", "").rpartition(" ")[2]
    values = [value for value in re.split("[&;=]", address.query) if len(value) >= _SHORTEST_VALUE]
    shown = zip(address.path.split("/"), shown_rest(address.path).split("/"), strict=True)
    hidden = [segment for segment, seen in shown if HIDDEN in seen]
    found = {login, config.api_key, address.password, address.query, *values, *hidden}
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def parse_address(url: str) -> Address:
    """Parse a recogniser's URL. Raises RecogniserError, without any part of the URL that may be secret."""
    scheme = url.partition("://")[0].lower()
    known = _SCHEMES.get(scheme)
    if known is None:
        raise RecogniserError(
            "the recogniser's address must begin with wyoming://, http://, https://, funasr+ws:// or funasr+wss://, "
            f"as in {_WYOMING} or {_HTTP}"
        )
    try:
        parts = split_url(url)
    except UrlSyntaxError as error:
        raise RecogniserError(f"the recogniser's address cannot be read: it {error}") from None
    if not parts.host:
        raise RecogniserError(f"the recogniser's address names no host; write it as in {known.example}")
    if not parts.host.isascii():
        raise RecogniserError("the host in the recogniser's address must be ASCII: write it as the DNS has it, xn--...")
    if not re.fullmatch("[!-~]*", parts.rest):
        raise RecogniserError(
            f"the address of the recogniser on {parts.host} has a character that no path can hold; percent-encode it"
        )
    if parts.port == 0:
        raise RecogniserError(
            f"the address of the recogniser on {parts.host} has port 0; leave it out for {known.port}"
        )
    return Address(
        scheme=scheme,
        host=parts.host,
        port=parts.port or known.port,
        tls=known.tls,
        path=parts.path,
        query=parts.query,
        username=parts.username,
        password=parts.password,
    )


def check_config(config: RecogniserConfig) -> None:
    """Raise RecogniserError for values that no protocol can carry."""
    for what, text in (("model", config.model), ("language", config.language)):
        if text is not None and not (0 < len(text) <= _LONGEST_NAME and text.isprintable()):
            raise RecogniserError(f"the {what} of the recogniser must be 1 to {_LONGEST_NAME} printable characters")
    if config.api_key is not None and not _WORD.fullmatch(config.api_key):
        raise RecogniserError("the recogniser's API key must be ASCII without blanks: look for a newline at its end")
    if not (math.isfinite(config.timeout_s) and config.timeout_s > 0):
        raise RecogniserError("the recogniser's time limit must be a number of seconds above 0")
