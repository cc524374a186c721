"""Keeps the TFLite runtime from greeting people on the standard error stream.

Owns: which lines are a greeting. Does not know: what the runtime is asked to do.

The runtime writes past Python, straight to the descriptor, and has no switch for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2
GREETINGS = (b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.",)


@contextmanager
def without_greetings() -> Iterator[None]:
    """Hold the standard error stream back while the block lasts; all but greetings is written after it."""
    try:
        own = os.dup(STDERR)
    except OSError:  # a service without one
        yield
        return
    try:
        # in memory: a service may have nowhere to write but its own directory
        with os.fdopen(os.memfd_create("greetings"), "w+b") as held:
            os.dup2(held.fileno(), STDERR)
            try:
                yield
            finally:
                os.dup2(own, STDERR)
                held.seek(0)
                for line in held:
                    if line.rstrip() not in GREETINGS:
                        os.write(STDERR, line)
    finally:
        os.close(own)
