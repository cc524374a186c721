"""CSV: one table of all events, with what is known of their sites, for R, pandas and spreadsheets."""

from __future__ import annotations

from edgeaudio.archive.export import Context, Found
from edgeaudio.clock import timestamp
from edgeaudio.label_tables import csv_line

COLUMNS = (
    "recording", "begins_at", "ends_at", "offset_s", "duration_s", "label", "score", "detections", "model", "site",
    "recorder", "depth_m", "latitude", "longitude",
)  # fmt: skip


class Table:
    """`events.csv`; times are UTC."""

    ending: str | None = None
    name = "events.csv"

    def __init__(self, _: Context) -> None:
        pass

    def head(self) -> str:
        return csv_line(COLUMNS)

    def line(self, found: Found, _: int) -> str:
        site = found.site
        times = (timestamp(found.begins_at), timestamp(found.ends_at))
        seconds = (f"{found.offset_s:.6f}", f"{found.duration_s:.6f}")
        what = (found.label, f"{found.score:.4f}", str(found.detections), found.model)
        place = (site.site, site.recorder, site.depth_m, site.latitude, site.longitude)
        return csv_line([found.recording, *times, *seconds, *what, *place])
