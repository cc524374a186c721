"""Transcripts: utterances of the sources that are transcribed, kept on disk until a recogniser was asked."""
