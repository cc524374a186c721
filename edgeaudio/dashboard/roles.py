"""The roles of those who ask. Pure. Does not know: how somebody comes by one (access.py), what each route needs."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """What somebody may do; a higher one may do all that a lower one may."""

    NOBODY = 0  # reaches the server
    VISITOR = 1  # sees what is public where the settings say so: whoever has no login there
    READER = 2  # sees
    OWNER = 3  # changes

    @property
    def word(self) -> str:
        """Its name in the settings and on the page."""
        return self.name.lower()
