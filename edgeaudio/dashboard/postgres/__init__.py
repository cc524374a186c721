"""The history of a whole fleet, which `edgeaudio collect` writes into PostgreSQL: read here, and reviewed."""
