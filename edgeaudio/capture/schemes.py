"""URL schemes of sources: the one table of what each is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["rtsp", "push", "rtmp", "http", "udp", "file", "alsa"]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A kind of source address."""

    family: Family  # push: a sender connects to this machine
    port: int | None = None  # where the address names none; None: there is no default
    tls: bool = False
    network: bool = True
    login: bool = False  # takes a user name and a password


SCHEMES: Final = {
    "rtsp": Scheme("rtsp", 554, login=True),
    "rtsps": Scheme("rtsp", 322, tls=True, login=True),
    "rtmp": Scheme("rtmp", 1935, login=True),
    "rtmps": Scheme("rtmp", 443, tls=True, login=True),
    "http": Scheme("http", 80, login=True),
    "https": Scheme("http", 443, tls=True, login=True),
    "udp": Scheme("udp"),
    "rtsp+listen": Scheme("push", 8554),
    "file": Scheme("file", network=False),
    "alsa": Scheme("alsa", network=False),
}


def family_of(scheme: str) -> Family | None:
    """Return the family of a scheme in small letters; None for one that no source has."""
    known = SCHEMES.get(scheme)
    return None if known is None else known.family
