"""The .deb on Debian machines that boot."""
