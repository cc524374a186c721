"""The latest sound of a source in memory, and what recognition has made of it: which of it may leave the device."""
