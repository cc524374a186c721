"""What holds for every test, and the line at the end of a run that says what was left out."""

import os
from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from support.programs import left_out

# how long an example takes says something of the machine, nothing of the code; and a run tries what the last one tried,
# unless it is to explore
settings.register_profile(
    "edgeaudio",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=os.environ.get("EXPLORE") != "1",
)
settings.load_profile("edgeaudio")
# agents of tests keep nothing in the runtime directory of whoever runs them
for name in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
    os.environ.pop(name, None)


def pytest_unconfigure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")  # none in xdist's workers
    if reporter is not None and (line := left_out(Counter(map(_reason, reporter.stats.get("skipped", []))))):
        reporter.write_line(line)


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    # of a skipped test: file, line and reason
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")
