"""Second room: Blocks in, Events out. Pure: no clock, no I/O but reading a model, no threads."""
