"""`--database` of the commands that use the PostgreSQL of a fleet.

Owns: where its URL may stand, and that a password stands nowhere that others can see.
Does not know: what is done with the database.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from edgeaudio.errors import EdgeaudioError
from edgeaudio.extras import require_extra

if TYPE_CHECKING:
    from edgeaudio.fleet_database.database import DatabaseUrl

_URL: Final = (
    "as in postgresql://host:5432/database; @FILE: the URL in the first line of FILE, for one with a password; what is "
    "left out is libpq's affair: PGPASSFILE, PGSERVICE; needs the extra `collect`"
)
_PACKAGES: Final = ("psycopg", "sqlalchemy")


def add_database(command: argparse.ArgumentParser, what: str, variable: str, *, is_action: bool = False) -> None:
    """Add `--database` to a command; `what` it is, and the `variable` that names it otherwise.

    is_action: of a command's action. What stands before the action counts too: no default may take its place.
    """
    default = argparse.SUPPRESS if is_action else None
    command.add_argument("--database", default=default, metavar="URL", help=f"{what}, {_URL} (default: ${variable})")


def fleet_database(option: str | None, variable: str, what: str) -> DatabaseUrl | None:
    """Return the database of the option, or of the environment; None: neither names one. Raises EdgeaudioError.

    `what`: needs the extra, as in `collect`.
    """
    given = option or os.environ.get(variable)
    if not given:
        return None
    require_extra("collect", _PACKAGES, what)
    from edgeaudio.fleet_database.database import parse_database_url  # noqa: PLC0415 (the extra's packages)
    from edgeaudio.settings.reading import read_secret  # noqa: PLC0415 (its libraries take 18 MB)

    url = parse_database_url(read_secret(Path(given[1:])) if given.startswith("@") else given)
    if url.has_password and option and not option.startswith("@"):
        raise EdgeaudioError(
            "--database holds a password, which everybody on this machine can see: write the URL into a file that only "
            "you can read, and give the file's name after an @, as in --database @database.txt; or use "
            f"${variable} or PGPASSFILE"
        )
    return url
