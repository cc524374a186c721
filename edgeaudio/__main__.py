"""`python -m edgeaudio` is `edgeaudio`."""

import sys

from edgeaudio.cli import main

sys.exit(main())
