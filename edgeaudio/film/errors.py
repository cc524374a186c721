"""What can go wrong with a film, for its user."""

from __future__ import annotations

from edgeaudio.errors import EdgeaudioError


class FilmError(EdgeaudioError):
    """The film cannot be written: a wrong target, a full disk, an encoder that is missing."""
