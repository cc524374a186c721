"""Tests with Home Assistant itself: `make test-homeassistant` installs it; without it nothing is collected."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("homeassistant") else ["test_*.py"]
