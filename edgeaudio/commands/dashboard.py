"""`edgeaudio dashboard`: the page and the metrics, until it is stopped."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from edgeaudio.commands.database_option import fleet_database
from edgeaudio.dashboard.config import AccessConfig, DashboardConfig, User
from edgeaudio.dashboard.roles import Role
from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import require_extra
from edgeaudio.logs import log_strays, setup_logging
from edgeaudio.password_hashes import MAX_PASSWORD, PasswordHash
from edgeaudio.settings import Settings, load_settings
from edgeaudio.settings.places import FLEET_DATABASE_VARIABLE
from edgeaudio.settings.values import split_address
from edgeaudio.terminal import ask_secret, on_terminal, print_out, read_line
from edgeaudio.wiring import mqtt_config

if TYPE_CHECKING:
    from edgeaudio.fleet_database.database import DatabaseUrl

_EXTRA: Final = ("prometheus_client", "starlette", "uvicorn", "wsproto")
_DAY_S: Final = 24 * 3600.0
_ROLES: Final = {"none": Role.NOBODY, "reader": Role.READER, "owner": Role.OWNER}
MIN_PASSWORD: Final = 8  # characters
_MB: Final = 1_000_000


def dashboard(path: Path | None, options: Sequence[str], database: str | None = None) -> int:
    """Serve the page with the settings of a file and of `--set`; returns the exit status. Raises EdgeaudioError.

    `database`: of a fleet, as `--database` names it.
    """
    require_extra("dashboard", _EXTRA, "the dashboard")
    settings = load_settings(path, options)
    setup_logging(settings.log_level, log_format=settings.log_format, device=settings.device)
    log_strays()
    return _serve(settings, fleet_database(database, FLEET_DATABASE_VARIABLE, "--database"))


def print_password_hash() -> int:
    """Read a password from the terminal, twice, or a line of standard input; print its hash. Raises EdgeaudioError."""
    try:
        if on_terminal(sys.stdin):
            password = ask_secret("password: ")
            if ask_secret("the same again: ") != password:
                raise EdgeaudioError("the two are not the same; nothing was printed")
        else:  # nothing is asked: what is printed is a line of the settings, which may be appended to them
            password = read_line()
        length = len(password.encode())
    except EOFError:
        raise EdgeaudioError("there is no password on standard input") from None
    except UnicodeError:
        raise EdgeaudioError("the password is not text in UTF-8") from None
    if len(password) < MIN_PASSWORD or length > MAX_PASSWORD:
        raise EdgeaudioError(f"a password has {MIN_PASSWORD} characters or more, and at most {MAX_PASSWORD} bytes")
    print_out(f"password = '{PasswordHash.of(password)}'")
    return 0


def access_config(settings: Settings) -> AccessConfig:
    """Return who may ask for what. Raises SettingsError."""
    table = settings.dashboard
    url = urlsplit(table.url or "")
    return AccessConfig(
        users={
            name: User(
                _ROLES[user.role], PasswordHash.parse(user.password.get_secret_value()) if user.password else None
            )
            for name, user in table.users.items()
        },
        is_public=table.public,
        hosts=frozenset((*(table.hosts or ()), *((url.hostname,) if url.hostname else ()))),
        base_path=url.path.rstrip("/") if table.base_path is None else table.base_path,
        trusted_proxies=tuple(map(ipaddress.ip_network, table.trusted_proxies or ())),
        user_header=table.user_header or "",
        user_role=_ROLES[table.user_role],
        frame_ancestors=table.frame_ancestors or (),
        metrics_token=table.token(),
        port=split_address(table.listen)[1],
    )


def _serve(settings: Settings, fleet: DatabaseUrl | None) -> int:
    # the extra's packages, which may be missing above
    from edgeaudio.dashboard.service import Dashboard  # noqa: PLC0415
    from edgeaudio.dashboard.web.server import listen, serve  # noqa: PLC0415

    host, port = split_address(settings.dashboard.listen)
    service = Dashboard(
        DashboardConfig(
            mqtt=mqtt_config(settings),
            base_topic=settings.mqtt.base_topic,
            database=settings.history_path,
            keep_s=settings.dashboard.keep_days * _DAY_S,
            access=access_config(settings),
            media_folder=settings.received_clips_folder,
            media_max_bytes=round(settings.dashboard.clips_max_mb * _MB),
            fleet_database=fleet,
        )
    )
    with listen(host, port) as sock:
        service.start()
        try:
            print_out(f"the page is at http://{settings.dashboard.listen}/", flush=True)
            serve(service, sock)
        finally:
            service.stop()
    return 0 if service.failure is None else 1
