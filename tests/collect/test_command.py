"""The command: what is said where something must be mended, and what nobody may see."""

from __future__ import annotations

import http.client
import importlib.util
import socket
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from collect.test_writer import recent, write, writer_of
from support.ports import free_port
from support.postgres import Postgres
from support.waiting import wait_until

from edgeaudio.cli import main
from edgeaudio.collect.collector import CollectorStatus
from edgeaudio.collect.counts import NAMES
from edgeaudio.collect.partitions import Month
from edgeaudio.collect.status_server import StatusServer, metrics
from edgeaudio.collect.topics import history_filters
from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import installing
from edgeaudio.fleet_database.database import Database
from edgeaudio.fleet_database.migrations import migrate

BROKER = ("--set", "mqtt.url=mqtt://127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "collect needs a database: --database postgresql://host/database, or $EDGEAUDIO_COLLECT_DATABASE"),
        (("--database", "mysql://u@db/x"), "the database's URL must begin with postgresql://"),
        (
            ("--database", "postgresql://u:s3cret@db/x"),
            "--database holds a password, which everybody on this machine can",
        ),
        (("--database", "@/nowhere"), "/nowhere: secret file cannot be read"),
        (("--database", "postgresql://", "--group", "a/+"), "a group's name has up to 64 letters"),
        (("--database", "postgresql://", "--listen", "9465"), "is no HOST:PORT, as in 127.0.0.1:9465"),
        (("--database", "postgresql://", "--session-expiry", "10"), "10 is not a whole number from 600 to 2592000"),
    ],
)
def test_what_must_be_mended_is_one_line(
    options: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EDGEAUDIO_COLLECT_DATABASE", raising=False)
    try:
        status: object = main(["collect", *BROKER, *options])
    except SystemExit as ended:
        status = ended.code
    error = capsys.readouterr().err
    assert status == 2
    assert said in error
    assert error.count("\n") == 1
    assert "s3cret" not in error


def test_a_missing_extra_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "psycopg" else find(name))
    assert main(["collect", "--database", "postgresql://"]) == 2
    assert f"collect needs psycopg: {installing('collect')}" in capsys.readouterr().err


def test_a_newer_database_ends_the_command(
    database: Database, url: str, sql: Callable[..., list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    migrate(database)
    sql("INSERT INTO edgeaudio.migrations (number) VALUES (99)")
    assert main(["collect", *BROKER, "--database", url]) == 2
    assert "is of a newer edgeaudio (layout 99" in capsys.readouterr().err


def test_a_roll_up_says_what_it_wrote(
    database: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra `archive` brings it")
    writer, _ = writer_of(database)
    month = Month(2026, 1)
    write(writer, recent(at=month.begin))
    (tmp_path / "url").write_text(f"{url}\n")
    for said in (f"{month}: 1 event\n1 month written, 0 unchanged\n", "0 months written, 1 unchanged\n"):
        assert main(["collect", "roll-up", "--database", f"@{tmp_path / 'url'}", "--to", str(tmp_path)]) == 0
        assert capsys.readouterr().out == said


def test_a_roll_up_of_no_month_says_so(
    database: Database, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: the extra `archive` brings it")
    migrate(database)
    (tmp_path / "url").write_text(f"{url}\n")
    assert main(["collect", "roll-up", "--database", f"@{tmp_path / 'url'}", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "nothing is due: no month of the database has been over for 7 days\n"


def test_a_roll_up_without_a_database_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"postgresql://u@127.0.0.1:{free_port()}/x"
    assert main(["collect", "roll-up", "--database", url, "--to", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Connection refused; check that it runs, and its address" in error


def test_a_port_that_is_taken_is_one_line(postgres: Postgres) -> None:
    with pytest.raises(EdgeaudioError, match="Address already in use; name another port"):
        StatusServer("127.0.0.1", postgres.port, lambda: CollectorStatus({}, 1, 1, 0.0, is_keeping=False))


def test_a_probe_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeaudio.collect.status_server._TIMEOUT_S", 1.0)
    with StatusServer("127.0.0.1", free_port(), lambda: CollectorStatus({}, 1, 1, 0.0, is_keeping=False)) as server:
        address = ("127.0.0.1", server.port)
        slow = [socket.create_connection(address, timeout=10) for _ in range(60)]
        for each in slow[:20]:
            each.sendall(b"GET /hea")  # and no more: the others say nothing
        assert slow[-1].recv(1) == b""  # more than there is room for: closed at once
        ended = threading.Event()

        def drip() -> None:
            with suppress(OSError):
                while not ended.wait(0.1):
                    slow[0].sendall(b"x")
            ended.set()

        threading.Thread(target=drip, daemon=True).start()
        assert ended.wait(10)  # a byte now and then keeps no place
        wait_until(lambda: _health(server.port) == 200)
        few = [socket.create_connection(address, timeout=10) for _ in range(5)]
        assert _health(server.port) == 200
        for each in (*slow, *few):
            each.close()


def _health(port: int) -> int:
    with suppress(OSError, http.client.HTTPException), closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        client.request("GET", "/health")
        return client.getresponse().status
    return 0


def test_trouble_is_what_keeps_messages_waiting() -> None:
    counts = dict.fromkeys(NAMES, 123_456_789)
    assert CollectorStatus(counts, 2, 1, 0.0, is_keeping=True).trouble == "1 of 2 consumers are not subscribed"
    assert "waited 61 s for the database" in CollectorStatus(counts, 2, 2, 61.0, is_keeping=True).trouble
    assert 'edgeaudio_collect_messages_total{result="stored"} 123456789\n' in metrics(
        CollectorStatus(counts, 2, 2, 59.0, is_keeping=True)
    )


def test_what_is_shared_is_shared_in_the_group() -> None:
    assert history_filters("e", "g")[0] == "$share/g/e/+/+/detection"
    assert history_filters("e", None)[0] == "e/+/+/detection"
