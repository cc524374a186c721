"""`edgeaudio demo`: the real agent hears real streams and tells a real broker, all on this machine.

Everything runs over loopback in processes of its own, as it would on several machines: the cameras
push RTSP, the broker speaks MQTT over TCP, the agent is `edgeaudio run`, and what is printed is
what a subscriber received.
"""
