"""`edgeaudio archive`: a whole archive of recordings listened to, and questions about what was heard."""
