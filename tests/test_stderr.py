"""Standard error that never blocks, in a process of its own each time."""

from __future__ import annotations

import subprocess
import sys


def said(program: str) -> tuple[str, str]:
    """What a Python prints that has put a Stderr in place, and does `program`."""
    head = "import os, sys\nfrom edgeaudio.stderr import Stderr, MAX_LINE_BYTES\nstderr = Stderr()\n"
    done = subprocess.run(
        [sys.executable, "-c", head + program], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout, done.stderr


def test_everything_comes_out_in_order_whoever_prints_it():
    out, err = said(
        "stderr.write('one\\n')\nos.write(2, b'two\\n')\nprint('three', flush=True)\nprint('four', file=sys.stderr)\n"
        "os.system('echo five >&2')\nassert stderr.drain(5)\n"
    )
    assert (out, err) == ("", "one\ntwo\nthree\nfour\nfive\n")


def test_after_the_end_the_real_ones_are_back():
    out, err = said("assert stderr.drain(5)\nstderr.close()\nprint('out')\nprint('err', file=sys.stderr)\n")
    assert (out, err) == ("out\n", "err\n")


def test_a_long_line_is_cut():
    _, err = said("stderr.write('x' * 100_000 + '\\n')\nstderr.write('next\\n')\nassert stderr.drain(5)\n")
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("x ... (cut)")
    assert 30_000 < len(lines[0]) < 35_000
    assert lines[1] == "next"


def test_what_does_not_fit_is_counted_and_a_torn_line_has_an_end():
    # the thread that hands on is held up, until the pipe has overflowed
    _, err = said(
        "import threading\nfrom edgeaudio import stderr as module\ngo = threading.Event()\nfirst = Stderr._write_out\n"
        "Stderr._write_out = lambda self, data: go.wait() and first(self, data)\n"
        "for number in range(1000):\n    stderr.write(f'{number} {\"x\" * 9000} end\\n')\n"
        "assert 100 < stderr.dropped < 1000\ndropped = stderr.dropped\ngo.set()\nstderr.drain(5)\n"
        "stderr.write('after\\n')\nstderr.write(f'{dropped}\\n')\nassert stderr.drain(5)\n"
    )
    lines = err.splitlines()
    whole = [line for line in lines if line.endswith(" end")]
    numbers = [int(line.split()[0]) for line in whole]
    assert numbers == sorted(set(numbers))
    assert lines[-2] == "after"
    assert len(whole) + int(lines[-1]) == 1000


def test_a_reader_that_is_gone_holds_up_nobody():
    program = (
        "import os, sys\nfrom edgeaudio.stderr import Stderr\nfar, near = os.pipe()\nos.dup2(near, 2)\nos.close(near)\n"
        "os.close(far)\nstderr = Stderr()\nfor _ in range(1000):\n    stderr.write('x' * 1000 + '\\n')\n"
        "assert stderr.drain(5)\nsys.exit(0 if stderr.dropped else 3)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=30).returncode == 0
