"""Speech recognisers outside of edgeaudio: one module per protocol. Knows the ground floor alone."""
