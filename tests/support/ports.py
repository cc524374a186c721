"""Free ports on loopback."""

import os
import random
import socket
from itertools import cycle

# below those that Linux gives to outgoing connections, which might take a port before the one that asked for it does
_FIRST, _EACH, _SHARES = 20_000, 1_000, 12
# workers that test side by side have ports of their own
_FIRST += _EACH * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES)
_START = random.randrange(_EACH)
_PORTS = cycle(_FIRST + (_START + n) % _EACH for n in range(_EACH))


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port that was free a moment ago, and that was not returned lately."""
    for port in _PORTS:
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("unreachable")
