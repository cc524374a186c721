"""Events and their messages, on disk until the broker has acknowledged them."""
