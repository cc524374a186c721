"""Processes for cores: a death has the name of the recording that caused it, and no other one's."""

import os
from datetime import UTC, datetime
from itertools import count

import pytest
from support.archive_work import kill_or_report
from support.waiting import wait_until

from edgeaudio.archive.hearing import Hearing
from edgeaudio.archive.job import Job
from edgeaudio.archive.local_runner import run_locally

pytestmark = pytest.mark.integration  # starts processes


def job(name, out):
    return Job(f"key-{name}", name, name, 7, 0, datetime(2024, 1, 1, tzinfo=UTC), Hearing("none"), str(out))


def tries(out, name):
    return (out / f"key-{name}").read_text().split()


def test_a_recording_that_kills_its_process_is_named_and_no_other(tmp_path):
    names = ["first", "poison", "second", "unlucky", "third"]
    outcomes = {
        each.recording: each for each in run_locally(kill_or_report, (job(n, tmp_path) for n in names), workers=2)
    }
    assert {name: outcome.error for name, outcome in outcomes.items()} == {
        **dict.fromkeys(["first", "second", "third", "unlucky"]),
        "poison": "ended its process twice (SIGKILL); is it damaged?",
    }
    assert {name: len(tries(tmp_path, name)) for name in names} == dict.fromkeys(names, 1) | {"poison": 2, "unlucky": 2}
    # the second try is alone: in a process in which nothing else was done
    others = {pid for name in ("first", "second", "third") for pid in tries(tmp_path, name)}
    assert tries(tmp_path, "poison")[1] not in others


def test_jobs_are_taken_as_processes_become_free(tmp_path):
    taken = count()
    outcomes = run_locally(kill_or_report, (job(f"{next(taken)}", tmp_path) for _ in range(20)), workers=1)
    next(outcomes)
    assert next(taken) <= 3
    outcomes.close()


def test_closing_ends_the_processes(tmp_path):
    outcomes = run_locally(kill_or_report, [job("endless", tmp_path), job("first", tmp_path)], workers=2)
    assert next(outcomes).recording == "first"
    wait_until(lambda: (tmp_path / "key-endless").is_file() and tries(tmp_path, "endless"))
    (pid,) = map(int, tries(tmp_path, "endless"))
    outcomes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
