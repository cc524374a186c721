"""What the dashboard is started with. Does not know: the settings that it comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from edgeaudio.dashboard.roles import Role
from edgeaudio.password_hashes import PasswordHash
from edgeaudio.sinks.mqtt.broker import MqttConfig

if TYPE_CHECKING:
    from edgeaudio.fleet_database.database import DatabaseUrl

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may log in."""

    role: Role
    password: PasswordHash | None  # None: a trusted proxy names him


@dataclass(frozen=True, slots=True)
class AccessConfig:
    """Who may ask for what, and by which ways. The default: whoever is on this machine is an owner."""

    users: Mapping[str, User] = field(default_factory=dict)  # by name, in small letters
    is_public: bool = False  # whoever has no login sees what is public
    hosts: frozenset[str] = frozenset()  # names by which the page is reached
    base_path: str = ""  # under which a proxy has the page: "" or as in "/sounds"
    trusted_proxies: tuple[Network, ...] = ()  # whose headers count
    user_header: str = ""  # in which they name the user; "": in none
    user_role: Role = Role.NOBODY  # of users whom they name and who are not in `users`
    frame_ancestors: tuple[str, ...] = ()  # origins of pages that may show this one in a frame
    metrics_token: str | None = field(default=None, repr=False)
    port: int = 0  # of the page: browsers send cookies to all ports of a host

    @property
    def has_login(self) -> bool:
        """False: only this machine is served, and who is on it is an owner."""
        return bool(self.users or self.user_header)


@dataclass(frozen=True, slots=True)
class DashboardConfig:
    """All of it."""

    mqtt: MqttConfig  # its client id is the beginning of those of both connections
    base_topic: str
    database: Path  # of what is this dashboard's own
    keep_s: float  # how long events, clips and pictures are kept
    media_folder: Path  # of clips and pictures
    media_max_bytes: int  # of them; 0: they are not received
    access: AccessConfig = AccessConfig()
    fleet_database: DatabaseUrl | None = None  # whose events are read, and none recorded; None: those of `database`
