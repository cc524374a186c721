"""What each state and reason asks of a person, in one sentence. Pure.

A reason that a newer agent has and this page does not know has no advice, and is shown as it is.
"""

from __future__ import annotations

from typing import Final

_REASONS: Final = {
    "unauthorized": "Check username and password of the source, and that this login may use the stream.",
    "not_found": "Check the path in the address; `edgeaudio probe` shows what the camera answers.",
    "refused": "Check the port, and that the camera or sound server runs.",
    "unreachable": "Check the network between the device and the camera.",
    "name_not_found": "Check the host name in the address, and the DNS of the device.",
    "tls_untrusted": "Set `ca_file` of the source to the authority of its certificate.",
    "clock": "Set the clock of the device; it is behind.",
    "timeout": "Check that the camera sends sound; restart it if it hangs.",
    "no_audio_track": "Switch on the microphone in the camera, or use another of its streams.",
    "no_audio_found": "Switch on the microphone in the camera, or raise `probe_s`.",
    "unsupported_codec": "Choose AAC, G.711 or Opus as the camera's audio codec.",
    "unsupported_transport": 'Set `transport` of the source to "auto".',
    "server_busy": "Close other viewers of the camera.",
    "invalid_data": "Check the address; `edgeaudio probe` shows what comes.",
    "too_large": "See the agent's log: the source sends more than the agent holds.",
    "device_busy": "Close the program that uses the sound card or port.",
    "device_gone": "Plug the sound card in again.",
    "playlist_stale": "Restart the server of this stream: it adds nothing to its playlist.",
    "end_of_stream": "Nothing, if it was a recording; else see why the sender ended the stream.",
    "internal_error": "See the agent's log, and report the bug.",
    "crashed_the_agent": "See the agent's log; the source is opened again, alone.",
    "digital_silence": "Unmute the microphone, or replace it: every sample is zero.",
    "paused": "Nothing: the sender sends nothing during silence.",
    "low_level": "Raise the gain of the microphone, or check its cable.",
    "full_scale": "Lower the gain of the microphone.",
    "channels_cancel": 'One channel is inverted: set `channel` to "auto" or to one of them.',
    "mains_hum": "Check cable and power supply of the microphone.",
    "switched_off": "Switch the source on when it shall listen.",
    "outside_schedule": "Nothing: these are not its hours.",
    "agent_stopped": "Start the agent on the device.",
}


def advice_for(reason: str | None) -> str:
    """Return what to do; empty: nothing is wrong, or the reason is not known here."""
    return _REASONS.get(reason or "", "")
