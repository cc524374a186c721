"""`edgeaudio clips`: what the folder of clips holds, shown, marked and exported."""
