"""`edgeaudio model`: describe, inspect and verify a model."""
