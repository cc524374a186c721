"""The live sink: spectrogram, scores and sound of the sources that somebody watches, and nothing of the others."""
