"""First room: RTSP, files and sound cards in, Blocks of samples out."""
