"""The base of the exceptions that a caller or a user of edgeaudio sees."""

from __future__ import annotations


class EdgeaudioError(Exception):
    """Bad input or a bad environment. The message is one line: what is wrong, where, and what to do.

    It never holds a secret. The command line prints it without a traceback and exits with status 2.
    """
