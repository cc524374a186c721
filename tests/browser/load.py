"""What the page costs in a real Chromium while a centre reports: `python -m browser.load` in `tests/`.

A centre of 30 shards and 3,000 sources: all states once, each shard's health every minute, 50 detections a second.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from dashboard.values import PAYLOAD
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import sync_playwright
from support.brokers import MosquittoFactory
from support.dashboards import RunningDashboard
from support.processes import tree_of
from support.programs import require_program

from edgeaudio.clock import timestamp
from edgeaudio.shards import owner_of

SOURCES, SHARDS, DETECTIONS_PER_S, SECONDS = 3000, 30, 50, 120
OWNERS = {name: owner_of(name, SHARDS) for name in (f"camera-{number}" for number in range(SOURCES))}
WATCH = (
    "window.tasks = []; new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)))"
)


class Centre:
    """The publisher: a thread."""

    def __init__(self, port: int) -> None:
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.max_inflight_messages_set(100)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._numbers = [0] * SHARDS
        self._began = timestamp(datetime.now(UTC))

    def begin(self) -> None:
        for shard in range(SHARDS):
            self._put(f"_shard/{shard}/availability", "online")
            self._put_health(shard)
        for name in OWNERS:
            self._put(f"{name}/status", json.dumps({"schema_version": 1} | self._source(name)))
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.loop_stop()

    def _run(self) -> None:
        begin_s, sent, reports = time.monotonic(), 0, 0
        while not self._stop.wait(0.05):
            now_s = time.monotonic() - begin_s
            while sent < now_s * DETECTIONS_PER_S:
                name, event = random.choice(list(OWNERS)), str(uuid.uuid4())
                for kind in ("onset", "offset"):
                    self._detect(name, event, kind)
                sent += 2
            while reports < now_s * SHARDS / 60:
                self._put_health(reports % SHARDS)
                reports += 1

    def _detect(self, name: str, event: str, kind: str) -> None:
        shard = OWNERS[name]
        self._numbers[shard] += 1
        values = {"id": event, "kind": kind, "at": timestamp(datetime.now(UTC)), "seq": self._numbers[shard]}
        values |= {"source": name, "device": "hall", "shard": shard, "seq_epoch": f"e{shard}"}
        self._put(f"{name}/detection", json.dumps(PAYLOAD | values), retain=False)

    def _put_health(self, shard: int) -> None:
        sources = {
            name: self._source(name) | {"heard_s": 1234.5, "lost_s": 1.2} for name in OWNERS if OWNERS[name] == shard
        }
        values = {"schema_version": 1, "at": timestamp(datetime.now(UTC)), "version": "0.1.0", "sources": sources}
        self._put(f"_shard/{shard}/health", json.dumps(values))

    def _source(self, name: str) -> dict[str, Any]:
        if name.endswith("7"):
            return {"state": "waiting", "reason": "timeout", "since": self._began, "detail": "no sound within 5 s"}
        return {"state": "listening", "reason": None, "since": self._began, "codec": "aac", "sample_rate": 16000}

    def _put(self, topic: str, payload: str, *, retain: bool = True) -> None:
        self._client.publish(f"edgeaudio/hall/{topic}", payload, 1, retain)


def cpu_s(pids: list[int]) -> float:
    """CPU seconds of processes so far."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        broker = MosquittoFactory(Path(folder))("max_queued_messages 0").start()
        dashboard = RunningDashboard(Path(folder), broker.port).start().wait_subscribed()
        assert dashboard.process is not None
        centre = Centre(broker.port)
        centre.begin()
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=require_program("chromium"), args=arguments)
        page = browser.new_page()
        page.add_init_script(f"{WATCH}.observe({{ entryTypes: ['longtask'] }})")
        page.goto(f"http://127.0.0.1:{dashboard.port}/")
        page.wait_for_selector("main tbody tr")
        network, received = page.context.new_cdp_session(page), [0]
        network.send("Network.enable")
        network.on("Network.dataReceived", lambda data: received.append(data["encodedDataLength"]))
        own = [dashboard.process.pid]
        browsers = [pid for pid in tree_of(os.getpid()) if "chrom" in Path(f"/proc/{pid}/comm").read_text()]
        before = cpu_s(own), cpu_s(browsers)
        page.wait_for_timeout(SECONDS * 1000)
        spent = [100 * (now - then) / SECONDS for now, then in zip((cpu_s(own), cpu_s(browsers)), before, strict=True)]
        tasks = page.evaluate("tasks")
        memory = next(line for line in Path(f"/proc/{own[0]}/status").read_text().splitlines() if "VmHWM" in line)
        print(page.inner_text("p.summary"))
        print(f"dashboard: {spent[0]:.1f} % of a core, {int(memory.split()[1]) / 1024:.0f} MB at most")
        elements = page.evaluate("document.querySelectorAll('*').length")
        print(f"Chromium: {spent[1]:.1f} % of a core, {elements} elements, {sum(received) / 1e6:.1f} MB received")
        print(f"{len(tasks)} tasks over 50 ms, the longest {max(tasks, default=0):.0f} ms")
        browser.close()
        centre.end()
        dashboard.stop()
        broker.stop()


if __name__ == "__main__":
    main()
