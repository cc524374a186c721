"""The live sink: a spectrogram and scores of the sources that somebody watches, and nothing of the others."""
