"""Jobs on a real Dask of two workers: each is run once, and what dies costs itself."""

from __future__ import annotations

import logging
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pyarrow.parquet as pq
import pytest
from archive.jobs import WORK, Squared, Sum, runs
from distributed import Client, LocalCluster
from distributed.security import Security
from support.brokers import make_certificates
from support.ports import free_port
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio.archive import dask_runner, dask_window
from edgeaudio.archive.dask_facts import Facts
from edgeaudio.archive.dask_runner import run_on_dask
from edgeaudio.cli import main
from edgeaudio.errors import EdgeaudioError

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0", memory_limit=None
    ) as cluster:
        yield cluster


def test_jobs_that_kill_raise_and_refuse_are_named_and_all_others_are_done_once(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    harms = {3: "kill", 11: "raise", 17: "refuse", 23: "fetch"}
    workers = {each.pid for each in cluster.workers.values()}
    jobs = (Sum(number, tmp_path, harms.get(number, "")) for number in range(40))
    done = list(run_on_dask(WORK, jobs, scheduler=cluster.scheduler_address))
    assert {each.number: each.error for each in done if each.error} == {
        3: "ended its process twice (SIGKILL); is it damaged?",
        11: "RuntimeError: a fault of two lines",
        17: "the recording is empty; leave it out",
        23: "the bucket is gone",
    }
    assert sorted(each.number for each in done) == list(range(40))
    assert Counter(runs(tmp_path)) == Counter(set(range(40)) - {23}) + Counter([3])
    assert {each.pid for each in cluster.workers.values()} == workers  # none died


def test_a_killed_worker_costs_nothing_that_was_done(cluster: LocalCluster, tmp_path: Path) -> None:
    done: list[Squared] = []
    jobs = (Sum(number, tmp_path, "wait" if number == 12 else "") for number in range(24))
    for outcome in run_on_dask(WORK, jobs, scheduler=cluster.scheduler_address):
        done.append(outcome)
        if len(done) == 10:
            wait_until(lambda: 12 in runs(tmp_path))
            os.kill(next(iter(cluster.workers.values())).pid, signal.SIGKILL)
            (tmp_path / "go").touch()
    assert sorted(each.square or 0 for each in done) == [number**2 for number in range(24)]
    again = {number for number, times in Counter(runs(tmp_path)).items() if times > 1}
    # what it was at, and what it had done and nobody had asked for: once.py looks for the result of those
    assert again.isdisjoint(each.number for each in done[:10])
    assert len(again) < dask_window.LEAST_JOBS


@pytest.mark.slow
def test_an_outcome_that_is_lost_with_its_worker_is_no_lost_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clients = _clients(monkeypatch)
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=None) as cluster:
        done = run_on_dask(WORK, (Sum(number, tmp_path) for number in range(8)), scheduler=cluster.scheduler_address)
        first = next(done)
        wait_until(lambda: len(runs(tmp_path)) == 8 and "pending" not in _states(clients[0]))
        os.kill(cluster.workers[0].pid, signal.SIGKILL)
        wait_until(lambda: "lost" in _states(clients[0]))
        assert sorted(each.number for each in [first, *done]) == list(range(8))
    assert "distributed" not in capfd.readouterr().err


def _states(client: Client) -> set[str]:
    return {future.status for future in list(client.futures.values())}


def _clients(monkeypatch: pytest.MonkeyPatch) -> list[Client]:
    """Return the clients that are made from now on."""
    clients: list[Client] = []

    def connect(*own, **named) -> Client:
        clients.append(Client(*own, **named))
        return clients[-1]

    monkeypatch.setattr(dask_runner, "Client", connect)
    return clients


def test_a_closed_iterator_ends_what_the_workers_are_at(cluster: LocalCluster, tmp_path: Path) -> None:
    outcomes = run_on_dask(WORK, _one_then_eight_that_wait(tmp_path), scheduler=cluster.scheduler_address)
    assert next(outcomes).square == 0
    wait_until(lambda: len(runs(tmp_path)) >= 3)
    outcomes.close()
    begun = runs(tmp_path)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    again = run_on_dask(WORK, (Sum(number, fresh) for number in range(9)), scheduler=cluster.scheduler_address)
    assert sorted(each.number for each in again) == list(range(9))
    assert runs(tmp_path) == begun


def _one_then_eight_that_wait(folder: Path) -> Iterator[Sum]:
    yield Sum(0, folder)
    wait_until(lambda: runs(folder))
    yield from (Sum(number, folder, "wait") for number in range(1, 9))


def test_what_is_shared_is_unpacked_where_jobs_run(cluster: LocalCluster, tmp_path: Path) -> None:
    done = run_on_dask(WORK, [Sum(2, tmp_path)], scheduler=cluster.scheduler_address, shared=10, localize=_moved)
    assert [each.number for each in done] == [12]


def test_what_is_shared_keeps_no_worker_from_its_part(cluster: LocalCluster, tmp_path: Path) -> None:
    jobs = [Sum(number, tmp_path, "wait for another") for number in range(12)]
    done = list(run_on_dask(WORK, jobs, scheduler=cluster.scheduler_address, shared=b"a" * 4_000_000, unpack=_size))
    assert [each.error for each in done] == [None] * 12
    assert len({each.pid for each in done}) == 2


def _size(shared: bytes) -> int:
    return len(shared)


def _moved(job: Sum, by: int) -> Sum:
    return Sum(job.number + by, job.folder)


def _of_this_process() -> Facts:
    return {"process": str(os.getpid())}


def test_workers_where_other_rows_might_come_out_get_no_job(cluster: LocalCluster, tmp_path: Path) -> None:
    with pytest.raises(EdgeaudioError) as raised:
        list(run_on_dask(WORK, [Sum(1, tmp_path)], scheduler=cluster.scheduler_address, facts=_of_this_process))
    lines = str(raised.value).split("\n")
    assert len(lines) == 2
    assert all(
        "has process " in line and f"(here {os.getpid()}): results would not be the same" in line for line in lines
    )
    assert runs(tmp_path) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:8786", "--scheduler: that is no address; write the one that the scheduler prints"),
        ("http://127.0.0.1:8786", "is no address of a scheduler"),
        ("tcp://user:hunter2@127.0.0.1:8786", "is no address of a scheduler"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(EdgeaudioError) as raised:
        list(run_on_dask(WORK, [Sum(1, tmp_path)], scheduler=address))
    assert words in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_archive_has_the_same_rows_on_dask_as_here(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # workers are elsewhere: paths are sent whole
    Path("sounds").mkdir()
    for minute in range(3):
        noise = np.random.default_rng(minute).normal(0, 0.1, 4 * 16_000)
        write_wave(Path(f"sounds/20260101T00{minute:02d}00Z.wav"), noise, 16_000)
    command = ["archive", "run", "sounds", "--scores", "0.01", "--out"]
    assert main([*command, "here", "--workers", "1"]) == 0
    assert main([*command, "dask", "--scheduler", cluster.scheduler_address]) == 0
    assert capfd.readouterr().out.count("done:     3 recordings, 12.0 s") == 2
    here, there = (_rows(Path(name)) for name in ("here", "dask"))
    assert len(here) > 3
    assert here == there


def _rows(out: Path) -> list[str]:
    return [str(row) for part in sorted(out.glob("*/parts/*/*")) for row in pq.read_table(part).to_pylist()]


@pytest.mark.parametrize("noticed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_scheduler_that_goes_away_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, noticed: bool
) -> None:
    clients = _clients(monkeypatch)
    monkeypatch.setattr(dask_runner, "CONNECT_S", 1.0)
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        outcomes = run_on_dask(WORK, _one_then_eight_that_wait(tmp_path), scheduler=cluster.scheduler_address)
        assert next(outcomes).square == 0
        cluster.close()
    if noticed:  # Dask's client tries to connect again, then closes itself
        wait_until(lambda: clients[0].status == "closed", 20.0)
    with pytest.raises(
        EdgeaudioError, match=r"the scheduler of Dask is gone; what is done is kept: start it, then run"
    ):
        list(outcomes)


@pytest.mark.slow
def test_a_scheduler_with_tls_is_used_with_the_certificates_of_dask_s_settings(tmp_path: Path) -> None:
    known = make_certificates(tmp_path / "known")
    names: dict[str, object] = {
        "distributed.comm.tls.ca-file": str(known.ca),
        "distributed.comm.require-encryption": True,
    }
    for who in ("scheduler", "worker", "client"):
        names[f"distributed.comm.tls.{who}.cert"] = str(known.server)
        names[f"distributed.comm.tls.{who}.key"] = str(known.server_key)
    with (
        dask.config.set(names),
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0", memory_limit=None, security=Security()
        ) as cluster,
    ):
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        done = list(run_on_dask(WORK, (Sum(number, tmp_path) for number in range(3)), scheduler=address))
        assert sorted(each.square or 0 for each in done) == [0, 1, 4]
        with (
            dask.config.set({"distributed.comm.tls.client.cert": str(tmp_path / "none")}),
            pytest.raises(EdgeaudioError, match="certificates cannot be used: No such file or directory"),
        ):
            list(run_on_dask(WORK, [Sum(1, tmp_path)], scheduler=address))
    with pytest.raises(EdgeaudioError, match="certificates cannot be used: none are set"):
        list(run_on_dask(WORK, [Sum(1, tmp_path)], scheduler="tls://127.0.0.1:9"))


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_runner, "CONNECT_S", 2.0)
    address = f"tcp://127.0.0.1:{free_port()}"
    reason = "(Connection refused|no answer)"  # by whether Dask is told within that time
    with pytest.raises(
        EdgeaudioError, match=f"{address}: no scheduler of Dask answers there: {reason}; start one, or"
    ) as raised:
        list(run_on_dask(WORK, [Sum(1, tmp_path)], scheduler=address))
    assert "\n" not in str(raised.value)
    logging.getLogger("distributed").setLevel(logging.WARNING)


@pytest.mark.slow
def test_a_scheduler_without_a_worker_is_told_once_and_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_window, "LOOK_S", 0.1)
    with LocalCluster(n_workers=0, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0") as cluster:
        address = cluster.scheduler_address

        def jobs() -> Iterator[Sum]:
            assert f"no worker yet at {address}; waiting for one" in caplog.text
            cluster.scale(1)
            yield Sum(3, tmp_path)

        done = list(run_on_dask(WORK, jobs(), scheduler=address))
    assert [each.square for each in done] == [9]
    assert caplog.text.count("no worker yet") == 1
