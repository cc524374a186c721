"""A cable to a camera: a network namespace of its own, which can be unplugged, and can lose packets.

Owns: the namespace, the pair of interfaces, and their end. Does not know: what is sent over them.
"""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
from typing import Self

from support.programs import missing, require_program

_numbers = itertools.count()

# in the namespace's own tables: they go with it, and nothing of this machine's is touched. At egress
# the sender does not notice, as it would not on a real line
_LOSSES = """
table netdev losses {
  chain out {
    type filter hook egress device "far" priority 0
    numgen random mod 100 < %d drop
  }
}
"""


class Cable:
    """A network of this machine and one camera; use it in a `with` block. Skips the test where it cannot be made."""

    def __init__(self) -> None:
        require_namespaces()
        number = next(_numbers)
        self._name = f"ea{os.getpid()}-{number}"  # also of this machine's interface: 15 letters at most
        # of the range that is kept for measurements (RFC 2544), so that no real network is hidden
        base = ((os.getpid() * 8 + number) % 2**15) * 4
        self._near = f"198.{18 + (base >> 16)}.{base >> 8 & 255}.{(base & 255) + 1}"
        self.address = f"198.{18 + (base >> 16)}.{base >> 8 & 255}.{(base & 255) + 2}"
        self.within = [require_program("ip"), "netns", "exec", self._name]  # runs a command at the camera's end

    def __enter__(self) -> Self:
        _ip("netns", "add", self._name)
        try:
            _ip("link", "add", self._name, "type", "veth", "peer", "name", "far", "netns", self._name)
            _ip("address", "add", f"{self._near}/30", "dev", self._name)
            _ip("link", "set", self._name, "up")
            self._far("ip", "address", "add", f"{self.address}/30", "dev", "far")
            self._far("ip", "link", "set", "lo", "up")
            self.plug()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "delete", self._name)  # and with it the interfaces

    def unplug(self) -> None:
        self._far("ip", "link", "set", "far", "down")

    def plug(self) -> None:
        self._far("ip", "link", "set", "far", "up")

    def lose(self, percent: int) -> None:
        """Lose that share of the packets from the camera, each by chance; TCP's, too."""
        self._far("nft", "-f", "-", given=_LOSSES % percent)

    def _far(self, program: str, *arguments: str, given: str = "") -> None:
        _run([*self.within, require_program(program), *arguments], given)


def require_namespaces() -> None:
    """Skip the test on a machine where no network namespace can be made."""
    require_program("ip")
    require_program("nft")
    if not _can_make_namespaces():
        missing("the right to make network namespaces (run as root)")


@functools.cache
def _can_make_namespaces() -> bool:
    name = f"ea{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        _ip("netns", "delete", name)
    except AssertionError:
        return False
    return True


def _ip(*arguments: str) -> None:
    _run([require_program("ip"), *arguments])


def _run(command: list[str], given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
