"""Recordings and results in a bucket, with moto's server on loopback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.wave_files import write_wave

from edgeaudio.archive import storage_s3
from edgeaudio.archive.storage_s3 import Bucket, split_address
from edgeaudio.cli import main
from edgeaudio.errors import EdgeaudioError

pytestmark = pytest.mark.integration
SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    moto = pytest.importorskip("moto.server", reason="the extra archive-test is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def client(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    names = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": "us-east-1"}
    for name, value in {**names, "AWS_ENDPOINT_URL": endpoint}.items():
        monkeypatch.setenv(name, value)
    storage_s3.file_system.cache_clear()
    boto3 = pytest.importorskip("boto3", reason="the extra archive-test is not installed")
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="sea")
    yield client
    for each in client.list_objects_v2(Bucket="sea").get("Contents", []):
        client.delete_object(Bucket="sea", Key=each["Key"])
    client.delete_bucket(Bucket="sea")
    client.close()
    storage_s3.file_system.cache_clear()


def put_recording(folder: Path, client, name: str, *, seconds: int = 3) -> None:
    noise = np.random.default_rng(len(name)).normal(0, 0.03, seconds * 16_000)
    file = write_wave(folder / "sound.wav", noise, 16_000)
    client.upload_file(str(file), "sea", name)


def test_files_of_a_bucket_are_listed_read_written_and_removed(client, tmp_path: Path) -> None:
    bucket = Bucket("s3://sea/heard")
    assert list(bucket.names("parts")) == []
    bucket.write("place.json", b"{}")
    bucket.write("parts/2026-01/a.parquet", b"abc")
    (tmp_path / "b").write_bytes(b"x" * 100_000)
    bucket.put("parts/2026-02/b.parquet", tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert sorted(bucket.names("parts")) == ["parts/2026-01/a.parquet", "parts/2026-02/b.parquet"]
    assert bucket.read("place.json") == b"{}"
    with bucket.open("parts/2026-02/b.parquet") as file:
        file.seek(99_999)
        assert file.read() == b"x"
    with bucket.copy("parts/2026-01/a.parquet") as path:
        assert path.read_bytes() == b"abc"
    bucket.remove("place.json")
    bucket.remove("place.json")
    with pytest.raises(FileNotFoundError):
        bucket.read("place.json")


def test_recordings_of_a_bucket_become_results_in_it(client, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for hour in range(3):
        put_recording(tmp_path, client, f"jetty/20260101T0{hour}0000Z.wav")
    client.put_object(Bucket="sea", Key="jetty/20260101T090000Z.wav", Body=b"")
    command = ["archive", "run", "s3://sea/jetty", "--out", "s3://sea/heard", "--workers", "1"]
    assert main(command) == 1
    said = capfd.readouterr().out
    assert "done:     3 recordings" in said
    assert "  20260101T090000Z.wav: " in said
    assert main(command) == 1
    assert "before:   3 recordings" in capfd.readouterr().out
    remote = Bucket("s3://sea/heard")
    parts = [name for name in remote.names("") if "/parts/" in name]
    assert len(parts) == 3
    for name in parts:
        with remote.open(name) as file:
            table = pq.read_table(file)
        assert table["recording"][0].as_py().startswith("20260101T0")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("s3://key:hunter2hunter2@sea/x", "credentials in the environment"),
        ("s3://sea/x?endpoint_override=localhost", "another server in AWS_ENDPOINT_URL"),
        ("s3:///x", "that is no bucket"),
        ("s3://SEA_/x", "that is no bucket"),
        ("s3://sea:9000/x", "that is no bucket"),
    ],
)
def test_an_address_that_is_no_bucket_is_refused_without_its_secrets(address: str, words: str) -> None:
    with pytest.raises(EdgeaudioError) as raised:
        split_address(address)
    assert words in str(raised.value)
    assert SECRET not in str(raised.value)


def test_a_bucket_that_is_not_there_is_one_line(client, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["archive", "run", "s3://none-such/jetty", "--out", "s3://sea/heard"]) == 2
    said = capfd.readouterr().err
    assert "s3://none-such/jetty: cannot be looked into: bucket none-such: there is no such bucket" in said
    assert main(["archive", "run", "s3://sea/jetty", "--out", "s3://none-such/heard"]) == 2
    assert "s3://none-such/heard: cannot be used for results: bucket none-such: there is no" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ACCESS_DENIED", "bucket sea: the credentials have no right to do that"),
        ("SIGNATURE_DOES_NOT_MATCH", "bucket sea: the key's secret is wrong"),
        ("NETWORK_CONNECTION", "bucket sea: the server cannot be reached"),
        ("QUOTA_EXCEEDED", "bucket sea: the server answers QUOTA_EXCEEDED"),
    ],
)
def test_what_a_server_refuses_is_said_in_words(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    refused = OSError(f"When doing: AWS Error {code} during PutObject operation: no (Request ID: 1)")
    monkeypatch.setattr(storage_s3, "file_system", mock.Mock(side_effect=refused))
    with pytest.raises(OSError, match=words) as raised:
        Bucket("s3://sea/heard").write("a", b"")
    assert raised.value.errno


def test_a_server_that_is_away_is_one_line(
    client, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(storage_s3, "TRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage_s3.file_system.cache_clear()
    assert main(["archive", "run", "s3://sea/jetty", "--out", "s3://sea/heard"]) == 2
    said = capfd.readouterr().err
    assert "the server cannot be reached" in said
    assert said.count("\n") == 1


def test_an_object_that_has_no_room_here_is_left_out(client, monkeypatch: pytest.MonkeyPatch) -> None:
    Bucket("s3://sea").write("long.wav", b"abc")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: mock.Mock(free=2))
    with pytest.raises(EdgeaudioError, match=r"do not fit into .* set TMPDIR"), Bucket("s3://sea").copy("long.wav"):
        pass
