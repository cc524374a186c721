"""`edgeaudio demo`: the agent, cameras, a broker and a subscriber on this machine.

Each is a process of its own, connected over loopback: the cameras push RTSP, the broker speaks MQTT, the agent is
`edgeaudio run`, and what is printed is what a subscriber received.
"""
