"""Detections in a CSV file, beside MQTT: a sink, and `edgeaudio run` with it.

    python examples/csv_sink.py edgeaudio.toml detections.csv

Each row is written before the next, as a whole or not at all. The file is opened for each row: an open file would take
rows after its folder was deleted, and they would be lost. A file that was moved away is made anew. Detections while the
sink is disabled are missing here; the broker has them.
"""

from __future__ import annotations

import csv
import errno
import io
import os
import sys
from functools import partial
from pathlib import Path

from edgeaudio.agent.agent import Agent
from edgeaudio.clock import timestamp
from edgeaudio.errors import EdgeaudioError
from edgeaudio.logs import setup_logging
from edgeaudio.settings import load_settings
from edgeaudio.types import Event

HEADER = ("time", "source", "label", "kind", "score", "duration_s")


class CsvSink:
    """Appends a row for the beginning and one for the end of each sound."""

    name = "csv"
    accepts = frozenset({Event})
    max_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        self._append()  # the header: a path that cannot be written fails now, not at the first detection

    def handle(self, item: object) -> None:
        if isinstance(item, Event) and not item.test:  # nothing was heard in a test
            at = timestamp(item.at)
            row = (at, item.source, item.label, item.kind, round(item.score, 3), round(item.duration_s, 3))
            self._append(row)

    def close(self) -> None:
        pass  # nothing is open between two rows

    def _append(self, *rows: tuple[object, ...]) -> None:
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows if size else (HEADER, *rows))
            data = text.getvalue().encode()
            if data and file.write(data) < len(data):  # the disk had room for a part of it
                file.truncate(size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))


def main(settings_file: str, csv_file: str) -> None:
    """Run an agent with those settings until SIGTERM or Ctrl-C; SIGHUP reloads them."""
    load = partial(load_settings, Path(settings_file))
    settings = load()
    setup_logging(settings.log_level)  # without it nothing below a warning is seen, and passwords are not masked
    Agent(settings, reload=load, sinks=[CsvSink(Path(csv_file))]).run()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python csv_sink.py SETTINGS.toml DETECTIONS.csv")
    try:
        main(*sys.argv[1:])
    except EdgeaudioError as error:
        sys.exit(f"csv_sink: {error}")
