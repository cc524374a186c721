"""Optional parts of the package, and the words on how to install them.

Never by the package's name: the one that is called edgeaudio on PyPI is another program.
"""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Sequence

from edgeaudio.errors import EdgeaudioError


def installing(extra: str) -> str:
    """Return how to install an extra, or several with commas between, for this interpreter: a clause without an end."""
    return (
        f"in edgeaudio's checkout, {shlex.quote(sys.executable or 'python3')} -m pip install '.[{extra}]' "
        f"(of a wheel: 'FILE.whl[{extra}]')"
    )


def require_extra(extra: str, packages: Sequence[str], what: str) -> None:
    """Raise EdgeaudioError if one of the packages of an extra is missing; `what` needs them, as in "collect"."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise EdgeaudioError(f"{what} needs {', '.join(missing)}: {installing(extra)}")
