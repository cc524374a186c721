"""`edgeaudio dashboard`: the page and the metrics, until it is stopped."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgeaudio.errors import EdgeaudioError
from edgeaudio.logs import log_strays, setup_logging
from edgeaudio.settings import Settings, load_settings
from edgeaudio.settings.values import split_address
from edgeaudio.terminal import print_out
from edgeaudio.wiring import mqtt_config

_EXTRA: Final = ("prometheus_client", "starlette", "uvicorn", "wsproto")
_DAY_S: Final = 24 * 3600.0


def dashboard(path: Path | None, options: Sequence[str]) -> int:
    """Serve the page with the settings of a file and of `--set`; returns the exit status. Raises EdgeaudioError."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise EdgeaudioError(
            f"the dashboard needs {', '.join(missing)}: install the extra, as in pip install 'edgeaudio[dashboard]'"
        )
    settings = load_settings(path, options)
    setup_logging(settings.log_level, log_format=settings.log_format, device=settings.device)
    log_strays()
    return _serve(settings)


def _serve(settings: Settings) -> int:
    # the extra's packages, which may be missing above
    from edgeaudio.dashboard.config import DashboardConfig  # noqa: PLC0415
    from edgeaudio.dashboard.service import Dashboard  # noqa: PLC0415
    from edgeaudio.dashboard.web.server import listen, serve  # noqa: PLC0415

    host, port = split_address(settings.dashboard.listen)
    service = Dashboard(
        DashboardConfig(
            mqtt=mqtt_config(settings),
            base_topic=settings.mqtt.base_topic,
            database=settings.history_path,
            keep_s=settings.dashboard.keep_days * _DAY_S,
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
