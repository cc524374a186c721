"""`--database` of the commands that use the PostgreSQL of a fleet.

Owns: where its URL may stand, and that a password stands nowhere that others can see.
Does not know: what is done with the database.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeaudio.commands.extras import require_extra
from edgeaudio.errors import EdgeaudioError
from edgeaudio.settings.reading import read_secret

if TYPE_CHECKING:
    from edgeaudio.fleet_database.database import DatabaseUrl

_PACKAGES: Final = ("psycopg", "sqlalchemy")


def fleet_database(option: str | None, variable: str, what: str) -> DatabaseUrl | None:
    """Return the database of the option, or of the environment; None: neither names one. Raises EdgeaudioError.

    `what`: needs the extra, as in `collect`.
    """
    given = option or os.environ.get(variable)
    if not given:
        return None
    require_extra("collect", _PACKAGES, what)
    from edgeaudio.fleet_database.database import parse_database_url  # noqa: PLC0415 (the extra's packages)

    url = parse_database_url(read_secret(Path(given[1:])) if given.startswith("@") else given)
    if url.has_password and option and not option.startswith("@"):
        raise EdgeaudioError(
            "--database holds a password, which everybody on this machine can see: write the URL into a file that only "
            "you can read, and give the file's name after an @, as in --database @database.txt; or use "
            f"${variable} or PGPASSFILE"
        )
    return url
