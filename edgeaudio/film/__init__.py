"""A film of what is heard: a picture that moves, and its sound, to a file or a streaming server."""
