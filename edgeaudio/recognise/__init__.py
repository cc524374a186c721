"""Recognition: Blocks in; Levels, Scores and Events out. Pure: no clock, no threads, no I/O but reading a model."""
