"""An RTSP camera made of GStreamer, run by the system's Python: prints its URL, then serves.

Run as `/usr/bin/python3 gst_server.py --launch PIPELINE [--address A] [--port N] [--auth basic|digest]`; the
pipeline's payloaders are named pay0, pay1 as GstRtspServer wants them. Ends when its standard input
does, so that it never outlives the test that started it.
"""

import argparse
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--launch", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", default="0")
    parser.add_argument("--path", default="/camera")
    parser.add_argument("--auth", choices=["basic", "digest"])
    parser.add_argument("--user", default="user")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--protocols", choices=["tcp", "udp"])
    options = parser.parse_args()

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(options.address)
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f"( {options.launch} )")
    factory.set_shared(True)
    factory.connect("media-configure", lambda _, media: refuse_seeks(media.get_element()))
    if options.protocols:
        factory.set_protocols(getattr(GstRtsp.RTSPLowerTrans, options.protocols.upper()))
    if options.auth:
        protect(server, factory, options)
    server.get_mount_points().add_factory(options.path, factory)
    loop = GLib.MainLoop()
    if server.attach(None) == 0:
        sys.exit("the port is taken")
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    print(f"rtsp://{options.address}:{server.get_bound_port()}{options.path}", flush=True)
    loop.run()


def refuse_seeks(pipeline) -> None:
    """Make the test sources answer as a microphone does: a seek by one listener would make a hole for all others."""

    def answer(_, info):
        is_meant = info.get_query().type == Gst.QueryType.SEEKING
        return Gst.PadProbeReturn.HANDLED if is_meant else Gst.PadProbeReturn.OK  # unanswered, it means: cannot seek

    sources = pipeline.iterate_sources()
    while (step := sources.next())[0] == Gst.IteratorResult.OK:
        pad = step[1].get_static_pad("src")
        if pad is not None:  # a bin that is still being put together has none
            pad.add_probe(Gst.PadProbeType.QUERY_UPSTREAM, answer)


def protect(server, factory, options) -> None:
    auth = GstRtspServer.RTSPAuth()
    role = "listener"
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, role)
    if options.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        basic = GstRtspServer.RTSPAuth.make_basic(options.user, options.password)
        auth.add_basic(basic, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    server.set_auth(auth)
    rights = Gst.Structure.new_from_string(
        f"{role}, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
    )
    factory.add_role_from_structure(rights)


if __name__ == "__main__":
    main()
