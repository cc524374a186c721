"""An RTSP server made of GStreamer that takes a film (RECORD) into a Matroska file: prints its URL, then serves.

Run as `/usr/bin/python3 gst_record.py FILE [PORT [USER PASSWORD]]`; the URL has no login. Ends when its standard input
does, so that it never outlives the test that started it.
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

# an unbuffered file: what came is in it, whatever becomes of the server
_PIPELINE = (
    "( rtph264depay name=depay0 ! h264parse ! queue ! matroskamux name=file streamable=true "
    "! filesink buffer-mode=2 location={file} rtpmp4gdepay name=depay1 ! aacparse ! queue ! file. )"
)


def main(file: str, port: str = "0", user: str = "", password: str = "") -> None:
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(_PIPELINE.format(file=file))
    if user:
        protect(server, factory, user, password)
    server.get_mount_points().add_factory("/film", factory)
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/film", flush=True)
    loop.run()


def protect(server, factory, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "publisher")
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    rights = "publisher, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    factory.add_role_from_structure(Gst.Structure.new_from_string(rights))


if __name__ == "__main__":
    main(*sys.argv[1:])
