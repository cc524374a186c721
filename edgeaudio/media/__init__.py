"""Media files that edgeaudio writes: samples in, a file out. Reading is the task of capture/."""
