"""Home Assistant itself is the judge: `make test-homeassistant` installs it, and elsewhere nothing is collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("homeassistant") else ["test_*.py"]
