"""Clips: the sound around each event in a file, with a record beside it."""
