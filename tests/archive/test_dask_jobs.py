"""What an archive adds to jobs on Dask."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.brokers import ROOT
from support.dask_cluster import ENVIRONMENT, OPTIONS
from support.fused import fused_directory, member
from support.wave_files import write_wave

from edgeaudio.archive import dask_jobs, dask_model
from edgeaudio.archive.beginnings import beginnings
from edgeaudio.archive.dask_jobs import model_files, on_dask
from edgeaudio.archive.dask_model import ModelFiles, unpacked
from edgeaudio.archive.dask_worker import run_here
from edgeaudio.archive.fetching import work_of
from edgeaudio.archive.hearing import hearing_of
from edgeaudio.archive.job import Job, Outcome, run_job
from edgeaudio.archive.once import Once
from edgeaudio.archive.packed import Packing
from edgeaudio.archive.places import open_place
from edgeaudio.archive.recordings import Recording, find_recordings
from edgeaudio.archive.runs import job_of
from edgeaudio.archive.storage import LocalFolder
from edgeaudio.archive.work import Work
from edgeaudio.errors import EdgeaudioError


def never(job: Job) -> Outcome:
    raise AssertionError("it was done")


def test_a_job_that_a_worker_did_before_it_died_is_not_done_again(tmp_path: Path, model: str) -> None:
    write_wave(tmp_path / "20260101T000000Z.wav", np.random.default_rng(0).normal(0, 0.1, 32_000), 16_000)
    hearing = hearing_of(model)
    (recording,) = find_recordings(str(tmp_path / "*.wav"), beginnings(None, None))
    assert isinstance(recording, Recording)
    job = job_of(recording, hearing, open_place(str(tmp_path / "out"), hearing))
    first = Once(run_job)(job)
    assert (first.error, first.duration_s) == (None, 2.0)
    assert Once(never)(job) == first


def test_two_processes_that_write_one_result_leave_it_whole_and_once(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_wave(tmp_path / "20260101T000000Z.wav", np.random.default_rng(0).normal(0, 0.1, 32_000), 16_000)
    hearing = hearing_of(model, scores_floor=0.0)
    (recording,) = find_recordings(str(tmp_path / "*.wav"), beginnings(None, None))
    assert isinstance(recording, Recording)
    out = tmp_path / "out"
    job = job_of(recording, hearing, open_place(str(out), hearing))
    both_written, put = Barrier(2), LocalFolder.put
    seen: list[pa.Table] = []

    def put_together(folder: LocalFolder, name: str, file: Path) -> None:
        both_written.wait(20)  # a killed worker's process, and the worker that has the recording by now
        put(folder, name, file)
        seen.append(pq.read_table(Path(job.out) / name))

    monkeypatch.setattr(LocalFolder, "put", put_together)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(Once(run_job), [job, job])
    assert first == second
    assert first.error is None
    assert [str(file.relative_to(job.out)) for file in out.rglob("*.parquet")] == [job.result]
    assert seen[0].num_rows > 1
    assert seen[0].equals(seen[1])
    assert not list(out.rglob("*.edgeaudio"))


def test_what_a_model_is_loaded_from_is_sent_and_no_more_than_fits(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = model_files(Path(model))
    assert set(sent.files) == {"model.toml", "model.tflite"}
    assert sent.files["model.tflite"] == (Path(model) / "model.tflite").read_bytes()
    assert model_files(Path(model)).digest == sent.digest
    monkeypatch.setattr(dask_jobs, "MOST_MODEL_BYTES", 100)
    with pytest.raises(EdgeaudioError, match="more than 0 MB are not sent to workers of Dask"):
        model_files(Path(model))


def test_a_fused_model_is_sent_with_its_members_and_is_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    sections = [member(tmp_path / "here", "one"), member(tmp_path / "here", "two", "features_time_major")]
    here = fused_directory(tmp_path / "here", sections)
    sent = model_files(here)
    assert set(sent.files) == {
        "model.toml",
        *(f"{name}/model.{kind}" for name in ("one", "two") for kind in ("toml", "tflite")),
    }
    (tmp_path / "worker").mkdir()
    monkeypatch.setattr(dask_model, "get_worker", lambda: SimpleNamespace(local_directory=str(tmp_path / "worker")))
    there = Path(unpacked(sent))
    hearing = hearing_of(str(here))
    assert hearing_of(str(there)).place == hearing.place
    manifest = there / "two" / "model.toml"
    manifest.write_text(manifest.read_text() + "[thresholds.first]\non = 0.123\noff = 0.1\n")
    assert hearing_of(str(there)).place == hearing.place  # the member's own events are none of the fused model's
    # a member that is run otherwise gives other results
    manifest.write_text(manifest.read_text().replace("offset = 1.0", "offset = 0.9"))
    assert hearing_of(str(there)).place != hearing.place


def test_processes_of_jobs_do_not_import_dask() -> None:
    sent = pickle.dumps(work_of(Once(run_job))).hex()
    program = (
        f"import sys, pickle, edgeaudio.archive.process; pickle.loads(bytes.fromhex('{sent}')); "
        "print(sorted({'dask', 'distributed', 'duckdb', 'pandas', 'edgeaudio.archive.job'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['edgeaudio.archive.job']\n"


def test_workers_and_schedulers_do_not_import_what_listens(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted: dict[str, Any] = {}

    def keep(work: Work[Job, Outcome], _: object, **more: object) -> Iterator[Outcome]:
        submitted.update(more, work=work)
        return iter(())

    monkeypatch.setattr(dask_jobs, "run_on_dask", keep)
    hearing = hearing_of(model)
    job = Job("key", "a.wav", "/a.wav", 1, 1, datetime.now(UTC), hearing, str(tmp_path))
    list(on_dask("tcp://127.0.0.1:1", hearing.model, str(tmp_path))(run_job, [job]))
    packing = Packing(submitted["work"], submitted["localize"])
    shared = ModelFiles(submitted["shared"].digest, {})
    sent = (run_here, packing.packed(job), packing.packed_work(), shared, submitted["unpack"], submitted["facts"])
    program = (
        f"import sys, pickle; pickle.loads(bytes.fromhex('{pickle.dumps(sent).hex()}'))[-1](); "
        "print(sorted({'av', 'pyarrow', 'ai_edge_litert', 'edgeaudio.archive.job'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_documents_start_workers_as_they_are_measured() -> None:
    document = (ROOT / "docs" / "archives.md").read_text()
    assert f"export {' '.join(f'{name}={value}' for name, value in ENVIRONMENT.items())}\n" in document
    (command,) = (line for line in document.splitlines() if line.startswith("    dask worker "))
    assert " ".join(OPTIONS) in command
