"""Tests with real recognisers: `make test-recognisers` installs them; without them nothing is collected."""

from support.real_recognisers import INSTALLED

collect_ignore_glob = [] if INSTALLED.exists() else ["test_*.py"]
