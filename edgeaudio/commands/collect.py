"""`edgeaudio collect`: a fleet's reports into PostgreSQL, until it is stopped."""

from __future__ import annotations

import argparse
import signal
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edgeaudio.commands.database_option import fleet_database
from edgeaudio.commands.exit_status import EXIT_FAULT, status_of
from edgeaudio.console import counted
from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import require_extra
from edgeaudio.logs import log_strays, setup_logging
from edgeaudio.settings import load_settings
from edgeaudio.settings.places import COLLECT_DATABASE_VARIABLE
from edgeaudio.terminal import print_out
from edgeaudio.wiring import mqtt_config

if TYPE_CHECKING:
    from edgeaudio.fleet_database.database import DatabaseUrl


def collect(options: argparse.Namespace) -> int:
    """Collect until SIGTERM or SIGINT; returns the exit status. Raises EdgeaudioError."""
    url = database_url(options.database)
    # the extra's packages, which may be missing above
    from edgeaudio.collect.collector import Collector  # noqa: PLC0415
    from edgeaudio.collect.config import CollectConfig  # noqa: PLC0415
    from edgeaudio.collect.status_server import StatusServer  # noqa: PLC0415

    settings = load_settings(options.config, options.options)
    setup_logging(settings.log_level, log_format=settings.log_format, device=settings.device)
    log_strays()
    collector = Collector(
        CollectConfig(
            mqtt=mqtt_config(settings),
            base_topic=settings.mqtt.base_topic,
            database=url,
            group=None if options.no_sharing else options.group,
            consumers=options.consumers,
            session_expiry_s=options.session_expiry,
            keep_months=options.keep_months,
        )
    )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with ExitStack() as stack:
        if options.listen is not None:
            stack.enter_context(StatusServer(options.listen[0], options.listen[1], lambda: collector.status))
        stack.callback(collector.stop)
        collector.start()
        collector.run(stop)
    failure = collector.failure
    return 0 if failure is None else status_of(failure) if isinstance(failure, Exception) else EXIT_FAULT


def roll_up(options: argparse.Namespace) -> int:
    """Write the months that are over; returns the exit status. Raises EdgeaudioError."""
    url = database_url(options.database)
    require_extra("collect,archive", ("pyarrow",), "a roll-up")
    from edgeaudio.collect import roll_up as months  # noqa: PLC0415 (the extras' packages)
    from edgeaudio.fleet_database.database import Database  # noqa: PLC0415

    database = Database(url, connections=1)
    try:
        done = months.roll_up(database, options.to)
    finally:
        database.close()
    for line in done.written:
        print_out(line)
    if done.written or done.unchanged:
        print_out(f"{counted(len(done.written), 'month')} written, {done.unchanged} unchanged")
    else:
        print_out(f"nothing is due: no month of the database has been over for {months.CLOSED_AFTER.days} days")
    return 0


def database_url(option: str | None) -> DatabaseUrl:
    """Return the database of the option, or of the environment. Raises EdgeaudioError."""
    url = fleet_database(option, COLLECT_DATABASE_VARIABLE, "collect")
    if url is None:
        raise EdgeaudioError(
            f"collect needs a database: --database postgresql://host/database, or ${COLLECT_DATABASE_VARIABLE}"
        )
    return url
