"""Recordings and results in a bucket, with moto's server on loopback."""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from support.archives import thuds
from support.brokers import make_certificates
from support.media import write_media
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


def rows_of(files) -> list[tuple[object, ...]]:
    """Return all rows but for their keys, which are of the time of change."""
    tables = [pq.read_table(file).drop_columns(["key"]) for file in files]
    return sorted((tuple(row.values()) for table in tables for row in table.to_pylist()), key=repr)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_recordings_of_a_bucket_have_the_rows_at_their_borders_that_they_have_on_a_disk(
    kind: str, client, model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(1).normal(0, 0.02, 90 * 1200)  # so that FLAC does not shrink to nothing
    samples = np.clip(thuds(90, (5, 6), (27, 33), (58, 61), (61.5, 62)) + noise, -0.99, 0.99).astype(np.float32)
    days = ["31/20240131_235930", "01/20240201_000000", "01/20240201_000030"]
    for index, name in enumerate(days):
        month = "01" if index == 0 else "02"
        file = tmp_path / "disk" / "2024" / month / f"{name}.{kind}"
        file.parent.mkdir(parents=True, exist_ok=True)
        part = samples[None, index * 30 * 1200 : (index + 1) * 30 * 1200]
        write_media(file, {"wav": "pcm_s16le", "flac": "flac"}[kind], part, 1200)
        client.upload_file(str(file), "sea", f"disk/2024/{month}/{name}.{kind}")
    options = ["--zone", "UTC", "--model", model, "--workers", "1", "--out"]
    assert main(["archive", "run", str(tmp_path / "disk"), *options, str(tmp_path / "heard")]) == 0
    assert main(["archive", "run", "s3://sea/disk", *options, "s3://sea/heard"]) == 0
    on_disk = rows_of((tmp_path / "heard").rglob("*.parquet"))
    bucket = Bucket("s3://sea/heard")
    in_bucket = rows_of(bucket.open(name) for name in bucket.names("") if name.endswith(".parquet"))
    assert in_bucket == on_disk
    assert [row for row in on_disk if row[0] == "event" and float(str(row[4])) < 0]  # whole, over the border
    write_media(
        tmp_path / f"new.{kind}", {"wav": "pcm_s16le", "flac": "flac"}[kind], np.zeros((1, 29 * 1200), np.float32), 1200
    )
    client.upload_file(str(tmp_path / f"new.{kind}"), "sea", f"disk/2024/01/{days[0]}.{kind}")
    assert main(["archive", "run", "s3://sea/disk", *options, "s3://sea/heard"]) == 0
    assert "done:     1 recording," in capfd.readouterr().out
    assert len([name for name in bucket.names("") if name.endswith(".parquet")]) == 3


def test_of_an_object_the_ends_alone_are_fetched(client) -> None:
    Bucket("s3://sea").write("long.wav", bytes(range(200)) * 5)
    with Bucket("s3://sea").ends("long.wav", 10, 20) as path:
        assert path.read_bytes() == bytes(range(10)) + bytes(970) + bytes(range(180, 200))
    with Bucket("s3://sea").ends("long.wav", 5000, 5000) as path:
        assert path.read_bytes() == bytes(range(200)) * 5
    with pytest.raises(FileNotFoundError), Bucket("s3://sea").ends("none.wav", 1, 1):
        pass


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
        ("UNKNOWN (HTTP status 500)", "bucket sea: the server answers HTTP status 500"),
        ("QUOTA_EXCEEDED", "bucket sea: the server answers QUOTA_EXCEEDED"),
        # what Arrow makes of MinIO's answer
        (
            "UNKNOWN (HTTP status 507) during: Unable to parse ExceptionName: XMinioStorageFull",
            "bucket sea: it is full",
        ),
    ],
)
def test_what_a_server_refuses_is_said_in_words(monkeypatch: pytest.MonkeyPatch, code: str, words: str) -> None:
    refused = OSError(f"When doing: AWS Error {code} during PutObject operation: no (Request ID: 1)")
    monkeypatch.setattr(storage_s3, "file_system", mock.Mock(side_effect=refused))
    with pytest.raises(OSError, match=words) as raised:
        Bucket("s3://sea/heard").write("a", b"")
    assert raised.value.errno


def test_a_setting_that_is_not_there_is_not_to_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = OSError("When doing: AWS Error NETWORK_CONNECTION during PutObject operation: no")
    monkeypatch.setattr(storage_s3, "file_system", mock.Mock(side_effect=refused))
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    for endpoint, words in (("http://127.0.0.1:9", "look at AWS_ENDPOINT_URL$"), ("", "look at the network, or name")):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(OSError, match=words):
            Bucket("s3://sea/heard").write("a", b"")


def test_a_plan_of_a_bucket_that_is_not_there_names_the_recordings(client, capfd: pytest.CaptureFixture[str]) -> None:
    for action in ("plan", "run"):
        assert main(["archive", action, "s3://none-such/jetty", "--out", "s3://none-such/heard"]) == 2
        said = capfd.readouterr().err
        assert "s3://none-such/jetty: cannot be looked into: bucket none-such: there is no such bucket" in said


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


class Hostile(BaseHTTPRequestHandler):
    """An S3 server that answers GET and HEAD of a key with what its name says."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        status, _, code = self.path.rpartition("/")[2].partition("-")
        body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
        is_cut = code == "cut"
        self.send_response(200 if self.command == "HEAD" and is_cut else int(status))
        self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        self.send_header("Content-Length", str(100_000 if is_cut else len(body)))
        if self.path.endswith("Redirect"):
            self.send_header("x-amz-bucket-region", "eu-north-1")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection |= is_cut


@pytest.fixture(params=["http", "https"])
def hostile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    known = make_certificates(tmp_path / "known")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    if request.param == "https":
        server.socket = known.server_context().wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    names = {"AWS_ENDPOINT_URL": f"{request.param}://localhost:{server.server_port}", "AWS_CA_BUNDLE": str(known.ca)}
    for name, value in {**names, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(storage_s3, "TRIES", 1)
    storage_s3.file_system.cache_clear()
    yield request.param
    server.shutdown()
    server.server_close()
    thread.join()
    storage_s3.file_system.cache_clear()


def test_what_a_hostile_server_does_to_an_object_is_one_line(hostile: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket("s3://sea")  # without any key: nothing is signed
    with bucket.copy("200-x") as path:
        assert path.stat().st_size == len("<Error><Code>x</Code><Message>m</Message></Error>")
    for name, words in {
        "206-cut": "the connection broke off in the middle; run again",
        "503-SlowDown": "the server asks for fewer requests",
        "400-ExpiredToken": "the server refuses the request; look at the session",
        "403-AccessDenied": "the credentials have no right to do that",
        "301-PermanentRedirect": "it is in another region; set AWS_REGION",
        "500-InternalError": "the server answers HTTP status 500",
    }.items():
        with pytest.raises(OSError, match=f"bucket sea: {words}"), bucket.copy(name):
            pass
    if hostile == "https":
        monkeypatch.delenv("AWS_CA_BUNDLE")
        storage_s3.file_system.cache_clear()
        with pytest.raises(OSError, match="name the authority that signed it in AWS_CA_BUNDLE"), bucket.copy("200-x"):
            pass


def test_an_expired_session_is_said_in_words_and_a_bundle_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "AWS Error UNKNOWN (HTTP status 400) during X operation: Unable to parse ExceptionName: ExpiredToken"
    monkeypatch.setattr(storage_s3, "file_system", mock.Mock(side_effect=OSError(text)))
    with pytest.raises(PermissionError, match="the session has expired"):
        list(Bucket("s3://sea").stored(""))
    monkeypatch.undo()
    monkeypatch.setenv("AWS_CA_BUNDLE", "/no/such.pem")
    storage_s3.file_system.cache_clear()
    with pytest.raises(EdgeaudioError, match=r"AWS_CA_BUNDLE: /no/such.pem cannot be read"):
        storage_s3.file_system()


def test_an_object_whose_head_cannot_be_had_costs_only_itself(
    client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for hour in range(2):
        put_recording(tmp_path, client, f"jetty/20260101T0{hour}0000Z.wav")
    head = Bucket.head

    def refuse(bucket: Bucket, name: str, size_bytes: int) -> bytes:
        if name == "20260101T000000Z.wav":
            raise ConnectionResetError(
                errno.ECONNRESET, "bucket sea: the connection broke off in the middle; run again"
            )
        return head(bucket, name, size_bytes)

    monkeypatch.setattr(Bucket, "head", refuse)
    assert main(["archive", "run", "s3://sea/jetty", "--out", str(tmp_path / "heard"), "--workers", "1"]) == 1
    said = capfd.readouterr().out
    assert "done:     1 recording, " in said
    assert "20260101T000000Z.wav: bucket sea: the connection broke off" in said


def test_an_object_that_has_no_room_here_is_left_out(client, monkeypatch: pytest.MonkeyPatch) -> None:
    Bucket("s3://sea").write("long.wav", b"abc")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: mock.Mock(free=2))
    with pytest.raises(EdgeaudioError, match=r"do not fit into .* set TMPDIR"), Bucket("s3://sea").copy("long.wav"):
        pass
