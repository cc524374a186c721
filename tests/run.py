"""Run the tests: `python tests/run.py [options of pytest] [files, folders, or tests]`.

A test that fails among the others is run again alone. One that passes then took a quiet machine for granted: it is
named at the end, to be mended, and does not fail the run. If more than MOST fail, none is tried again.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MOST = 3
SOME_FAILED = 1  # an exit status of pytest
NONE_CHOSEN = 5  # another


def main(arguments: Sequence[str]) -> int:
    """Run them; returns pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        return _tried(Path(folder), arguments)


def _tried(cache: Path, arguments: Sequence[str]) -> int:
    status = _pytest(cache, arguments)
    if status == NONE_CHOSEN and "not slow" in arguments:
        print("all of these are slow ones: make test-slow TESTS=...")
    if status != SOME_FAILED:
        return status
    file = cache / "v" / "cache" / "lastfailed"
    failed = list(json.loads(file.read_text())) if file.exists() else []
    if not 0 < len(failed) <= MOST:
        return status
    options = [given for given in arguments if not Path(given.partition("::")[0]).exists()]
    print("failed among the others, now alone:", *failed, sep="\n  ", flush=True)
    status = _pytest(cache, [*options, "-n", "0", *(["--cov-append"] if "--cov" in options else []), *failed])
    if not status:
        print("FLAKY: failed among the others, passed alone:", *failed, sep="\n  ", flush=True)
    return status


def _pytest(cache: Path, arguments: Sequence[str]) -> int:
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # pytest got it too, and says where it was
                continue


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
