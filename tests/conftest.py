"""What holds for every test, and the line at the end of a run that says what was left out."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy.testing  # noqa: F401 (NumPy 1 starts a program as it is imported: before any test, then)
import pytest
from hypothesis import HealthCheck, settings
from support.examples import examples
from support.programs import left_out

# rooms whose tests have a machine, a broker or an agent each, and those of the tools for training, which take long
INTEGRATION_FOLDERS = frozenset(
    {
        "agent",
        "arm",
        "browser",
        "chaos",
        "collect",
        "deb",
        "demo",
        "deploy",
        "fleet",
        "fresh",
        "image",
        "kubernetes",
        "training",
        "with_homeassistant",
        "with_node_red",
        "with_recognisers",
    }
)
# modules of support/ that start servers or programs, or encode media with FFmpeg
SERVERS = frozenset(
    f"support.{name}"
    for name in (
        *(
            "agents",
            "brokers",
            "camera",
            "collectors",
            "cut_line",
            "dashboard_access",
            "dashboards",
            "delivery",
            "endless",
            "espeak",
            "faulty_card",
            "film_servers",
            "gst_server",
        ),
        *(
            "icecast",
            "media",
            "model_server",
            "onvif_camera",
            "postgres",
            "programs",
            "proxies",
            "real_recognisers",
            "recognisers",
            "rtsp",
            "scripted_broker",
            "scripted_web",
            "serving",
        ),
        *("strict_broker", "supervisor", "terminals", "tls_broker", "web", "web_sources", "wyoming_double"),
    )
)
ALSO = frozenset({"socket", "subprocess"})
# audit events that a unit test does not cause
FORBIDDEN = {"socket.bind": "opens a port", "subprocess.Popen": "starts a program"}

# how long an example takes says something of the machine, nothing of the code; and a run tries what the last one tried,
# unless it is to explore
settings.register_profile(
    "edgeaudio",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("EXPLORE") != "1",
    max_examples=examples(100),
)
settings.load_profile("edgeaudio")
# agents of tests keep nothing in the runtime directory of whoever runs them
for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
    os.environ.pop(name, None)


class _Running:
    is_unit = False


def _audit(event: str, _: object) -> None:
    if _Running.is_unit and event in FORBIDDEN:
        raise AssertionError(f"this test {FORBIDDEN[event]}: it is none of `unit`, see tests/conftest.py")


sys.addaudithook(_audit)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave rooms without unit tests unread where only those are asked for: to import them takes seconds."""
    return True if config.option.markexpr == "unit" and collection_path.name in INTEGRATION_FOLDERS else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test as `unit` or `integration`, before any is chosen by that; what takes longest goes first."""
    # else one worker is at it in the end, when the others have nothing left to do
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)
    for item in items:
        if not any(item.iter_markers("integration")):
            slow = any(item.iter_markers("slow"))
            item.add_marker("integration" if slow or _is_integration(item) else "unit")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold a unit test to what it is."""
    _Running.is_unit = any(item.iter_markers("unit"))
    try:
        return (yield)
    finally:
        _Running.is_unit = False


def _is_integration(item: pytest.Item) -> bool:
    module = getattr(item, "module", None)
    if item.path.parent.name in INTEGRATION_FOLDERS or module is None:
        return True
    # a module that was imported, or the home of a function or class that was
    homes = {
        value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        for value in vars(module).values()
    }
    return not homes.isdisjoint(SERVERS | ALSO)


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")  # none in xdist's workers
    if reporter is not None and (line := left_out(Counter(map(_reason, reporter.stats.get("skipped", []))))):
        reporter.write_line(line)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # of a skipped test: file, line and reason
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    """Restore logging, which every command sets up: a later test would find more in its log."""
    root, ours = logging.getLogger(), logging.getLogger("edgeaudio")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])
