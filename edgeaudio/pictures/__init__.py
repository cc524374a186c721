"""Pictures of sound: samples in, a spectrogram as JPEG, WebP or PNG out. The sound itself is never changed."""
