"""The file behind a film: written in order, and given up where the disk is full or takes nothing."""

from __future__ import annotations

import os
import threading

import pytest
from support.waiting import wait_until

from edgeaudio.film.disk_file import DiskFile, StalledDiskError, open_new


def test_it_holds_what_was_written_also_in_its_middle(tmp_path):
    file = DiskFile(open_new(tmp_path / "x", overwrite=False))
    file.write(b"0123456789")
    assert file.seek(2) == 2
    file.write(b"ab")
    assert (file.tell(), file.seek(0, 1), file.seek(0, 2)) == (4, 4, 10)
    file.write(bytes(1_000_000))
    assert file.close() == 1_000_010
    assert (tmp_path / "x").read_bytes() == b"01ab456789" + bytes(1_000_000)


def test_a_file_that_is_there_is_replaced_only_where_that_is_wanted(tmp_path):
    (tmp_path / "x").write_bytes(b"older and longer")
    with pytest.raises(FileExistsError):
        open_new(tmp_path / "x", overwrite=False)
    file = DiskFile(open_new(tmp_path / "x", overwrite=True))
    file.write(b"new")
    file.close()
    assert (tmp_path / "x").read_bytes() == b"new"


def test_a_pipe_is_refused_without_waiting_for_its_reader(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match=r"no regular file|No such device"):
        open_new(tmp_path / "x", overwrite=True)


def test_a_full_disk_is_an_error_of_the_next_write():
    file = DiskFile(os.open("/dev/full", os.O_WRONLY))
    file.write(b"what the disk has no room for")
    wait_until(lambda: file.error is not None)
    with pytest.raises(OSError, match="No space left"):
        file.write(b"more")
    with pytest.raises(OSError, match="No space left"):
        file.close()


def test_a_disk_that_stalls_holds_up_nothing_until_the_buffer_is_full_and_is_given_up_then(tmp_path, monkeypatch):
    thaw = threading.Event()
    real = os.pwrite

    def stalled(*arguments):
        thaw.wait(20)
        return real(*arguments)

    monkeypatch.setattr("os.pwrite", stalled)
    file = DiskFile(open_new(tmp_path / "x", overwrite=False), buffer_bytes=1000, stalled_s=0.2)
    try:
        for _ in range(10):
            file.write(bytes(100))
        with pytest.raises(StalledDiskError, match=r"taken nothing for 0\.2 s"):
            file.write(b"too much")
        with pytest.raises(StalledDiskError):
            file.close()
    finally:
        thaw.set()
        file.abandon()


def test_a_disk_that_is_slow_for_a_moment_loses_nothing(tmp_path, monkeypatch):
    real = os.pwrite

    def slow(*arguments):
        threading.Event().wait(0.02)
        return real(*arguments)

    monkeypatch.setattr("os.pwrite", slow)
    file = DiskFile(open_new(tmp_path / "x", overwrite=False), buffer_bytes=1000, stalled_s=5.0)
    for index in range(20):
        file.write(bytes([index]) * 200)
    assert file.close() == 4000
    assert (tmp_path / "x").read_bytes() == b"".join(bytes([index]) * 200 for index in range(20))
