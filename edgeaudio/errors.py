"""The root of the exceptions that a caller or a user of edgeaudio is to see."""

from __future__ import annotations


class EdgeaudioError(Exception):
    """Bad input or a bad environment, told in one line: what is wrong, where, and what to do.

    Never holds a secret. The command line prints it without a traceback and exits with status 2.
    """
