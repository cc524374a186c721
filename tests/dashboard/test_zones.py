"""Hours and days of zones, as the page computes them, beside Python's own."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.programs import require_program

import edgeaudio.dashboard

QUARTER = timedelta(minutes=15)
# begin and end of daylight saving in 2026, a day without, and Beirut and Santiago, whose clocks change at midnight
DAYS = [
    ("Europe/Berlin", "2026-03-29", 23 * 60),
    ("Europe/Berlin", "2026-06-01", 24 * 60),
    ("Europe/Berlin", "2026-10-25", 25 * 60),
    ("Asia/Kolkata", "2026-10-25", 24 * 60),
    ("Australia/Lord_Howe", "2026-04-05", 24 * 60 + 30),
    ("Australia/Lord_Howe", "2026-10-04", 24 * 60 - 30),
    ("America/St_Johns", "2026-03-08", 23 * 60),
    ("America/St_Johns", "2026-11-01", 25 * 60),
    ("Asia/Beirut", "2026-03-29", 23 * 60),
    ("America/Santiago", "2026-09-06", 23 * 60),
    ("Asia/Kathmandu", "2026-02-28", 24 * 60),
    ("UTC", "2026-03-29", 24 * 60),
]
SCRIPT = """
import { readFileSync } from "node:fs";
import { edges, fromInput, isZone, steps, toInput } from "./zones.mjs";
const known = { edges, fromInput, isZone, steps, toInput };
console.log(JSON.stringify(JSON.parse(readFileSync(0, "utf8")).map(([what, ...words]) => known[what](...words))));
"""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Any:
    node = require_program("node")
    folder = tmp_path_factory.mktemp("zones")
    shutil.copy(Path(edgeaudio.dashboard.__file__).parent / "static" / "zones.js", folder / "zones.mjs")
    (folder / "ask.mjs").write_text(SCRIPT)

    def ask(*questions: list[Any]) -> list[Any]:
        done = subprocess.run(
            [node, "ask.mjs"],
            cwd=folder,
            input=json.dumps(questions),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        answers: list[Any] = json.loads(done.stdout)
        return answers

    return ask


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def day_of(zone: str, day: str) -> tuple[datetime, datetime]:
    """Return its beginning and its end in UTC, where both are found by looking at each quarter of an hour."""
    near = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=UTC) - timedelta(days=1)
    quarters = [near + number * QUARTER for number in range(4 * 24 * 4)]
    inside = [at for at in quarters if str(at.astimezone(ZoneInfo(zone)).date()) == day]
    return inside[0], inside[-1] + QUARTER


def hours_of(begin: datetime, end: datetime, zone: str) -> list[int]:
    """Return where a local hour begins, by looking at each quarter of an hour."""
    found = []
    before = None
    at = begin
    while at < end:
        local = at.astimezone(ZoneInfo(zone))
        if local.minute == 0 or local.hour != before:
            found.append(ms(at))
        before = local.hour
        at += QUARTER
    return [*found, ms(end)]


def test_a_day_has_the_hours_that_its_zone_gives_it(ask: Any) -> None:
    days = [day_of(zone, day) for zone, day, _ in DAYS]
    questions = []
    for (zone, _, _), (begin, end) in zip(DAYS, days, strict=True):
        questions.append(["edges", "day", ms(begin), ms(end), zone])
        questions.append(["edges", "day", ms(end) - 1, ms(end), zone])
        questions.append(["edges", "hour", ms(begin), ms(end), zone])
    answers = ask(*questions)
    for number, ((zone, day, minutes), (begin, end)) in enumerate(zip(DAYS, days, strict=True)):
        assert end - begin == timedelta(minutes=minutes), (zone, day)
        whole, last_moment, hours = answers[3 * number : 3 * number + 3]
        assert whole == last_moment == [ms(begin), ms(end)], (zone, day)
        assert hours == hours_of(begin, end, zone), (zone, day)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"])
def test_a_year_is_of_whole_days(ask: Any, zone: str) -> None:
    begin, _ = day_of(zone, "2026-01-01")
    _, end = day_of(zone, "2027-02-04")
    (days,) = ask(["edges", "day", ms(begin), ms(end), zone])
    assert len(days) == 401
    for at, next_at in itertools.pairwise(days):
        local, next_local = (datetime.fromtimestamp(one / 1000, ZoneInfo(zone)) for one in (at, next_at))
        assert (local.hour, local.minute) == (0, 0)
        assert next_local.date() - local.date() == timedelta(days=1)
    (text,) = ask(["steps", days])
    lengths = [int(run.partition("*")[0]) for run in text.split(",") for _ in range(int(run.partition("*")[2] or 1))]
    assert [days[0] + 900_000 * sum(lengths[:count]) for count in (0, 100, 300, 400)] == [
        days[n] for n in (0, 100, 300, 400)
    ]
    assert len(text) < 60


def test_spans_hold_what_was_asked_and_no_more(ask: Any) -> None:
    begin = 1_790_000_100_000  # 14:15 in UTC
    quarter, hour = 900_000, 3_600_000
    assert ask(
        ["edges", "quarter", begin + 1, begin + 2 * quarter, "UTC"],
        ["edges", "quarter", begin, begin + 1, "UTC"],
        ["edges", "hour", begin, begin + hour, "UTC"],
        ["edges", "hour", begin - quarter, begin - quarter + hour, "UTC"],
        ["edges", "hour", begin, begin + hour, "Asia/Kathmandu"],
    ) == [
        [begin, begin + quarter, begin + 2 * quarter],
        [begin, begin + quarter],
        [begin - quarter, begin - quarter + hour, begin - quarter + 2 * hour],
        [begin - quarter, begin - quarter + hour],
        [begin, begin + hour],
    ]


def test_local_times_are_read_as_they_were_written(ask: Any) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    times = [datetime(2026, 10, 25, hour, 30, tzinfo=berlin) for hour in (1, 2, 3)]
    times += [datetime(2026, 3, 29, hour, 30, tzinfo=berlin) for hour in (1, 3)]
    texts = [at.strftime("%Y-%m-%dT%H:%M") for at in times]
    assert ask(*(["toInput", ms(at), "Europe/Berlin"] for at in times)) == texts
    assert ask(*(["fromInput", text, "Europe/Berlin"] for text in texts)) == [ms(at) for at in times]
    # 02:30 does not exist: it is read as if clocks had not changed yet
    assert ask(["fromInput", "2026-03-29T02:30", "Europe/Berlin"]) == [ms(datetime(2026, 3, 29, 1, 30, tzinfo=UTC))]
    assert ask(["toInput", "yesterday", "UTC"], ["toInput", "", "UTC"], ["fromInput", "yesterday", "UTC"]) == [
        "",
        "",
        "",
    ]
    names = ("Europe/Berlin", "Asia/Kolkata", "UTC", "Mars/Phobos", "<img>")
    assert ask(*(["isZone", name] for name in names)) == [True, True, True, False, False]
