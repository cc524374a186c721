"""What is compared between two machines, and what counts as right."""

from __future__ import annotations

import shutil

import pytest

from arm import __main__ as arm
from arm.machines import MACHINES

HERE = {"home": [[1.0, 2.0], [0.0, 4.0]]}


def test_scores_differ_in_steps() -> None:
    assert arm.compare(HERE, HERE) == (4, 0.0)
    assert arm.compare(HERE, {"home": [[1.0, 3.0], [0.0, 4.0]]}) == (4, 1.0)
    assert arm.compare(HERE, {"home": [[1.0, 2.0], [2.0, 4.0]]}) == (4, 2.0)


def test_scores_that_are_not_there_are_no_agreement() -> None:
    assert arm.compare(HERE, {}) == (0, float("inf"))


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
        ({"demo": "exit status 1"}, False),
        ({"golden_features": "1 failed and 2 passed"}, False),
        ({"RTSP": "1 failed"}, False),
        ({"difference_of_models_in_steps": 1.1}, False),
        ({"scores_compared": 0}, False),
    ],
)
def test_a_machine_is_right_where_all_is(changes: dict[str, object], right: bool) -> None:
    values = {"machine": "arm64", "Python": "3", "NumPy": "2", "runtime": "x", "golden_features": "2 passed"}
    row = arm.Row(
        **{**values, "scores_compared": 9, "difference_of_models_in_steps": 1.0,
           "with_decoder_and_features": 4.0, "RTSP": "2 passed", "demo": "right",
           "all_of_it_s": 1.0, **changes}  # type: ignore[arg-type]  # values of many types
    )  # fmt: skip
    assert row.right is right


def test_the_kernel_knows_the_machine_s_programs_by_their_first_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    arm64, armhf = (machine.binfmt for machine in MACHINES)
    zeros = r"\x00" * 9
    assert arm64.startswith(rf":qemu:M::\x7fELF\x02\x01\x01{zeros}\x02\x00\xb7\x00:")
    assert armhf.startswith(rf":qemu:M::\x7fELF\x01\x01\x01{zeros}\x02\x00\x28\x00:")
    assert arm64.endswith(":/bin/qemu-aarch64-static:F")
