"""What is compared between two machines, and what counts as right."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from arm import __main__ as arm
from arm.machines import MACHINES

ROWS = {"home": [[1.0, 2.0], [0.0, 4.0]]}
FURTHER = {"home": [[1.0, 3.0], [2.0, 4.0]]}
HERE = {"kernels": "XNNPACK", "installed": ROWS, "reference": ROWS, "thresholds": {"home": [1.0, 3.0]}}


def test_scores_differ_in_steps() -> None:
    assert str(arm.compare(HERE, HERE, "installed")) == "4 equal"
    differences = arm.compare(HERE, {"installed": FURTHER}, "installed")
    assert str(differences) == "2 equal, 1 by 1, 1 by 2"
    assert differences.largest == 2


@pytest.mark.parametrize("there", [{}, {"installed": {}}, {"installed": {"home": [[1.0, 2.0]]}}])
def test_scores_that_are_not_there_are_no_agreement(there: dict[str, object]) -> None:
    assert arm.compare(HERE, there, "installed").largest == -1
    assert arm.by_the_same_kernels(HERE, {"kernels": "XNNPACK", "reference": ROWS, **there}).largest == -1


@pytest.mark.parametrize(
    ("kernels", "installed", "reference", "largest"),
    [
        ("XNNPACK", ROWS, ROWS, 0),
        ("XNNPACK", FURTHER, ROWS, 2),
        ("XNNPACK", ROWS, FURTHER, 2),
        ("TFLite's own", FURTHER, FURTHER, 0),  # as they are here
        ("TFLite's own", ROWS, FURTHER, 2),
    ],
)
def test_kernels_are_compared_with_their_like(
    kernels: str, installed: dict[str, object], reference: dict[str, object], largest: int
) -> None:
    here = {**HERE, "reference": FURTHER if kernels != "XNNPACK" else ROWS}
    there = {"kernels": kernels, "installed": installed, "reference": reference}
    assert arm.by_the_same_kernels(here, there).largest == largest


def test_a_score_that_one_machine_alone_hears_is_counted() -> None:
    assert arm.across_a_threshold(HERE, HERE) == 0
    assert arm.across_a_threshold(HERE, {"installed": FURTHER}) == 2


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("...\n====== 3 passed in 1.23s ======\n", "3 passed"),
        ("8 passed, 2 skipped in 61.00s (0:01:01)", "8 passed and 2 skipped"),
        ("8 passed, 30 deselected in 61.00s (0:01:01)", "8 passed"),
        ("1 failed, 2 passed in 3s", "1 failed and 2 passed"),
        ("", "nothing was printed"),
    ],
)
def test_pytest_s_last_line(printed: str, expected: str) -> None:
    assert arm.outcome(printed) == expected


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({}, True),
        ({"demo": "3 of 4 sounds detected, 0 false detections"}, False),
        ({"kernels": "TFLite's own"}, False),
        ({"golden_features": "1 failed and 2 passed"}, False),
        ({"RTSP": "1 failed"}, False),
        ({"largest_difference_in_steps": 2}, False),
        ({"largest_difference_in_steps": -1}, False),
    ],
)
def test_a_machine_is_right_where_all_is(changes: dict[str, object], right: bool) -> None:
    row = arm.Row(
        machine="arm64", cores="cortex-a76", Python="3", NumPy="2", runtime="x", kernels="XNNPACK",
        golden_features="2 passed", scores_by_the_same_kernels="3 equal, 1 by 1", largest_difference_in_steps=1,
        scores_as_installed="4 equal", across_a_threshold=0, RTSP="2 passed",
        demo="right", all_of_it_s=1.0, tried="",
    )  # fmt: skip
    row = replace(row, **changes)  # type: ignore[arg-type]  # values of many types
    assert row.right is right


def test_the_kernel_knows_the_machine_s_programs_by_their_first_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    arm64, armhf = (machine.binfmt for machine in MACHINES)
    zeros = r"\x00" * 9
    assert arm64.startswith(rf":qemu:M::\x7fELF\x02\x01\x01{zeros}\x02\x00\xb7\x00:")
    assert armhf.startswith(rf":qemu:M::\x7fELF\x01\x01\x01{zeros}\x02\x00\x28\x00:")
    assert arm64.endswith(":/bin/qemu-aarch64-static:F")


def test_a_core_is_shown_as_linux_shows_it() -> None:
    (arm64, *_) = MACHINES
    processors = [
        dict(line.split("\t: " if "\t" in line else ": ") for line in part.splitlines())
        for part in arm64.cores[0].cpuinfo.strip().split("\n\n")
    ]
    assert [processor["processor"] for processor in processors] == [str(n) for n in range(os.cpu_count() or 1)]
    assert {processor["CPU part"] for processor in processors} == {"0xd0b"}
    assert "asimddp" in processors[0]["Features"].split()
