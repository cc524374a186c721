"""Exit statuses, and the report of an error that ends a command: a line if the user can mend it, else a traceback."""

from __future__ import annotations

import traceback

from edgeaudio.errors import EdgeaudioError
from edgeaudio.redact import mask
from edgeaudio.terminal import one_line, print_error

EXIT_FAULT = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE


def status_of(error: Exception) -> int:
    """Return the exit status of a command that an error ended."""
    mendable = isinstance(error, EdgeaudioError | MemoryError) or _is_unimportable(error)
    return EXIT_BAD_INPUT if mendable else EXIT_FAULT


def report(error: Exception) -> int:
    """Print an error on standard error, without secrets; returns the exit status."""
    if isinstance(error, ImportError) and _is_unimportable(error):
        _report_unimportable(error)
    elif isinstance(error, EdgeaudioError):
        for line in getattr(error, "lines", str(error).split("\n")):
            print_error(f"edgeaudio: {one_line(mask(line))}")
    elif isinstance(error, MemoryError):
        print_error("edgeaudio: that takes more memory than there is; close other programs")
    else:
        print_error(mask("".join(traceback.format_exception(error))))
    return status_of(error)


def _is_unimportable(error: Exception) -> bool:
    return isinstance(error, ImportError) and (error.name or "").partition(".")[0] != "edgeaudio"


def _report_unimportable(error: ImportError) -> None:
    """Print which library cannot be imported, and the first error of the chain: NumPy wraps it in a page of advice."""
    while isinstance(error.__cause__, ImportError):
        error = error.__cause__
    library = (error.name or "a library").partition(".")[0]
    problem = mask(" ".join(str(error).split()))
    print_error(
        f"edgeaudio: {library} cannot be imported ({problem}); install what that names, or edgeaudio with all that "
        "it needs again, by pip's --force-reinstall"
    )
