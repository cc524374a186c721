"""Jobs in processes: whatever a job does to its process costs that job alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import CancelledError, wait
from dataclasses import replace
from pathlib import Path

import pytest
from archive.jobs import WORK, Squared, Sum, runs
from support.waiting import wait_until

from edgeaudio.archive.process_pool import ProcessPool


def outcomes(pool: ProcessPool[Sum, Squared], jobs: list[Sum]) -> list[Squared]:
    return [pending.outcome.result(timeout=20) for pending in [pool.submit(job) for job in jobs]]


def test_a_job_that_kills_its_process_is_named_and_no_other(tmp_path: Path) -> None:
    harms = {3: "kill", 5: "raise", 6: "refuse", 7: "fetch", 9: "kill once"}
    with ProcessPool(WORK, 2) as pool:
        done = outcomes(pool, [Sum(number, tmp_path, harms.get(number, "")) for number in range(12)])
    assert {each.number: each.error for each in done if each.error} == {
        3: "ended its process twice (SIGKILL); is it damaged?",
        5: "RuntimeError: a fault of two lines",
        6: "the recording is empty; leave it out",
        7: "the bucket is gone",
    }
    assert [each.square for each in done if not each.error] == [n * n for n in (0, 1, 2, 4, 8, 9, 10, 11)]
    # the two that ended their process were tried twice; what waited behind them was not begun
    assert Counter(runs(tmp_path)) == Counter(set(range(12)) - {7}) + Counter([3, 9])
    assert not [held.name for held in tmp_path.glob("held-*") if held.name not in {"held-3", "held-9"}]


def test_what_a_job_needs_is_fetched_while_the_one_before_runs_and_never_for_a_third(tmp_path: Path) -> None:
    with ProcessPool(WORK, 1) as pool:
        pending = [pool.submit(Sum(number, tmp_path, "wait")) for number in range(4)]
        wait_until((tmp_path / "held-1").exists)
        assert runs(tmp_path) == [0]
        assert sorted(held.name for held in tmp_path.glob("held-*")) == ["held-0", "held-1"]
        assert pending[0].began.wait(5)
        assert not pending[1].began.is_set()
        (tmp_path / "go").touch()
        assert [each.outcome.result(timeout=10).square for each in pending] == [0, 1, 4, 9]
    assert not list(tmp_path.glob("held-*"))


def test_a_cancelled_job_ends_at_once_and_what_waits_behind_it_is_run(tmp_path: Path) -> None:
    with ProcessPool(WORK, 1) as pool:
        first, second, third = (
            pool.submit(Sum(number, tmp_path, harm)) for number, harm in enumerate(["wait", "wait", ""])
        )
        assert first.began.wait(10)
        pool.cancel([second, first])
        assert not wait([first.outcome, second.outcome], timeout=1).not_done
        assert third.outcome.result(timeout=10).square == 4
        with pytest.raises(CancelledError):
            first.outcome.result(timeout=10)
    assert 1 not in runs(tmp_path)


def test_a_closed_pool_leaves_no_process(tmp_path: Path) -> None:
    pool = ProcessPool(WORK, 2)
    pending = [pool.submit(Sum(number, tmp_path, "wait")) for number in range(5)]
    assert pending[0].began.wait(10)
    pids = pool.pids
    pool.close()
    assert all(each.outcome.cancelled() for each in pending)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("harm", ["wait", "fetch long"])
def test_a_killed_parent_leaves_no_process_that_goes_on(tmp_path: Path, harm: str) -> None:
    program = (
        "import sys, time; from pathlib import Path; from archive.jobs import WORK, Sum\n"
        "from support.waiting import wait_until\n"
        "from edgeaudio.archive.process_pool import ProcessPool\n"
        "pool = ProcessPool(WORK, 1); pool.submit(Sum(1, Path(sys.argv[1]), sys.argv[2]))\n"
        "wait_until((Path(sys.argv[1]) / 'held-1').exists)\n"
        "print(*pool.pids, flush=True); time.sleep(60)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path), harm], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())


def _no_memory() -> None:
    raise MemoryError


class _Heavy:
    """A function that no process can load."""

    def __call__(self, job: Sum) -> Squared:
        raise AssertionError

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _no_memory, ()


def _unstarted(job: Sum, error: str) -> Squared:
    return Squared(job.number, error=f"unstarted: {error}")


def test_a_process_that_cannot_begin_is_no_fault_of_a_job_and_prints_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = replace(WORK, run=_Heavy(), unstarted=_unstarted)
    with ProcessPool(work, 1) as pool:
        (outcome,) = outcomes(pool, [Sum(1, tmp_path)])
    reason = "that takes more memory than there is"
    assert outcome.error == f"unstarted: no process can work here ({reason}); is there memory for it?"
    assert capfd.readouterr() == ("", "")
