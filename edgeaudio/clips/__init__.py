"""Clips: the sound around a detection in a file, and what is known of it in a JSON file beside it."""
