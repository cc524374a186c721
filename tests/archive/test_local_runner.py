"""Processes for cores: a death has the name of the recording that caused it, and no other one's."""

import os
from datetime import UTC, datetime
from itertools import count

import pytest
from support.archive_work import kill_or_report, wait_for_end
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
    outcomes = {each.recording: each for each in run_locally(kill_or_report, (job(n, tmp_path) for n in names), workers=2)}
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
    outcomes = run_locally(wait_for_end, [job("poison", tmp_path), job("again", tmp_path)], workers=2)
    # another process that dies is what makes the generator return; here it is closed while both are at work
    pids: list[int] = []

    def begun():
        pids[:] = [int(text) for file in tmp_path.iterdir() if (text := file.read_text())]
        return len(pids) == 2

    from threading import Thread

    def end_one():
        wait_until(begun)
        os.kill(pids[0], 9)

    ender = Thread(target=end_one)
    ender.start()
    # the one that was killed is tried again when the other has ended, which it never does: end it too
    Thread(target=lambda: (ender.join(), os.kill(pids[1], 9)), daemon=True).start()
    closer = Thread(target=lambda: None)
    closer.start()
    ender.join()
    outcomes.close()
    assert all(not _is_there(pid) for pid in pids)


def _is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
