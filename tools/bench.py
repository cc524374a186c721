"""Measures edgeaudio against its peers and its floor in one run: `make bench`, or `python -m tools.bench [PART ...]`.

Owns: which parts there are, and where the results go. Does not know: how anything is measured (benchmarks/).

The whole run rewrites docs/performance.json, and the table and the picture that are made of it; some parts, and the
short form, only print.
"""
