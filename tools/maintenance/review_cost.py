"""How long it takes to judge many sounds at once, and to list and export what was judged.

    python -m tools.maintenance.review_cost [--events 1000000] FILE

FILE is a database as `dashboard_scale` makes it: it is filled if it is not there, and used again. 500 events are judged
and cleared, in one transaction each: the newest, and some all over the year that the file holds. Then 10,000 stay
judged while pages of verdicts, the labels that are known and the records of a training set are read. Each median and
slowest of 15 is for docs/dashboard.md; the CPU is what counts where the machine does other things too.
"""

from __future__ import annotations

import argparse
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from edgeaudio.dashboard import history
from edgeaudio.dashboard.database import Database
from edgeaudio.dashboard.history import Filter, History, Verdict
from edgeaudio.dashboard.missed import MissedSounds
from edgeaudio.dashboard.reviews import Judgement, Reviews
from edgeaudio.dashboard.service import SCHEMA
from edgeaudio.dashboard.training_set import entries
from tools.maintenance.dashboard_scale import TRIES, fill

AT_ONCE, KEPT = 500, 10_000
KEEP_S = 400 * 86_400.0


def main() -> None:
    """Fill the file, judge, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    if not arguments.file.exists():
        fill(arguments.file, arguments.events)
    database = Database(arguments.file, SCHEMA, history.upgrade, history.COLUMNS)
    database.open()
    events = History(database, keep_s=KEEP_S)
    print(f"load {os.getloadavg()[0]:.1f}")
    missed, reviews = MissedSounds(database), Reviews(events)
    with database.reading() as db:
        (last,) = db.execute("SELECT max(number) FROM events").fetchone()
        numbers = random.Random(1).sample(range(1, last + 1), KEPT)
        newest = db.execute("SELECT device, source, id FROM events ORDER BY number DESC LIMIT ?", (AT_ONCE,)).fetchall()
        rows = [
            db.execute("SELECT device, source, id FROM events WHERE number = ?", (number,)).fetchone()
            for number in numbers
        ]

    def judge(verdict: Verdict | None, count: int, rows: list[tuple[str, str, str]] = rows) -> Callable[[], object]:
        label = "given" if verdict == "other" else None
        chosen = [Judgement(device, source, event_id, verdict, label) for device, source, event_id in rows[:count]]
        return lambda: reviews.judge(chosen, "reviewer", time.time())

    for title, chosen in (("the newest", newest), ("of a whole year", rows)):
        acts = judge("wrong", AT_ONCE, chosen), judge(None, AT_ONCE, chosen)
        show(f"judge {AT_ONCE} events, {title}, or clear them", *acts)
    for verdict in ("right", "other", "wrong"):
        judge(verdict, KEPT if verdict == "right" else KEPT // 2 if verdict == "other" else KEPT // 4)()
    show("a page of wrong ones", lambda: events.page(Filter(verdict="wrong")))
    show("a page of those without a verdict", lambda: events.page(Filter(verdict="unreviewed")))
    show("a page of a given label", lambda: events.page(Filter(label="given")))
    show("the labels that are known", missed.labels)
    show(f"the records of {KEPT} events, for a training set", lambda: list(entries(events, missed, Filter())))
    judge(None, KEPT)()
    database.close()


def show(title: str, *acts: Callable[[], object]) -> None:
    """Print how long the acts take, by the clock and of CPU."""
    took_ms, cpu_ms = [], []
    for _ in range(TRIES):
        for act in acts:
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
            act()
            took_ms.append((time.perf_counter() - began_s) * 1000)
            cpu_ms.append((time.process_time() - began_cpu_s) * 1000)
    figures = f"{median(took_ms):8.1f} ms, at most {max(took_ms):8.1f} ms; CPU {median(cpu_ms):8.1f} ms"
    print(f"{title:55} {figures}", flush=True)


if __name__ == "__main__":
    main()
