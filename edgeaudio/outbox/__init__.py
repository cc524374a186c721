"""What must be delivered waits here, on disk, until it is acknowledged."""
