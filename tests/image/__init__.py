"""The image, built without a container engine, run as one would run it, and shown to hear."""
