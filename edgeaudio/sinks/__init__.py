"""Where results go: a package a sink. Sinks do not know each other."""
