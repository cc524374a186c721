"""Playlists that pass through a proxy: read within limits, rewritten, and shortened to what was not heard yet.

Owns: which playlist ends a connection, and with which Reason.
Does not know: sockets, the syntax of playlists (playlist_parser.py), which segments were heard (live_playlists.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

from edgeaudio.capture.heard_segments import digest
from edgeaudio.capture.live_playlists import BegunAnewError, EndOfPlaylistError, LivePlaylists, StaleError
from edgeaudio.capture.origin import LeadError, Origin
from edgeaudio.capture.playlist import MasterPlaylist, MediaPlaylist
from edgeaudio.capture.playlist_parser import MAX_BYTES, PlaylistError, PlaylistTooLargeError, parse_playlist
from edgeaudio.capture.proxy_addresses import ProxyAddresses
from edgeaudio.capture.proxy_messages import Request
from edgeaudio.types import Reason

_MAX_TRACKED = 100  # segments at the end of a live playlist; FFmpeg asks for no others


def read_playlist(
    request: Request, origin: Origin, pieces: Iterator[bytes], addresses: ProxyAddresses
) -> MediaPlaylist | MasterPlaylist:
    """Return the playlist in a body, its addresses rewritten. Raises LeadError for one that may not be passed on."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > MAX_BYTES:
            detail = f"the playlist of {origin} is larger than {MAX_BYTES >> 20} MiB"
            raise LeadError(Reason.TOO_LARGE, detail, "", final=True)
    try:
        return parse_playlist(bytes(data), lambda uri: addresses.rewrite(uri, origin), len(request.url))
    except PlaylistError as error:
        reason = Reason.TOO_LARGE if isinstance(error, PlaylistTooLargeError) else Reason.INVALID_DATA
        raise LeadError(reason, f"the playlist of {origin} is not read: {error}", "", final=True) from None


def new_part(live: LivePlaylists, request: Request, origin: Origin, playlist: MediaPlaylist) -> MediaPlaylist | None:
    """Return what FFmpeg is given of a playlist; None if it has nothing new. Raises LeadError."""
    name = digest(request.target.partition("?")[0])  # the same for all hosts that serve it
    try:
        shown = live.show(name, playlist)
    except StaleError as error:
        raise LeadError(Reason.PLAYLIST_STALE, str(error), "check what feeds the server", final=True) from None
    except BegunAnewError:
        raise LeadError(Reason.END_OF_STREAM, "the server began its playlist anew", "", final=True) from None
    except EndOfPlaylistError:
        detail = "the stream has ended, and was heard to its end"
        raise LeadError(Reason.END_OF_STREAM, detail, "", final=True) from None
    if shown is None:
        return None
    if not shown.segments:
        # FFmpeg dereferences NULL for an audio track without segments beside a variant with some
        raise LeadError(Reason.INVALID_DATA, f"the playlist of {origin} has no segments", "")
    if shown.is_live or shown is not playlist:
        base = f"http://{origin}{request.target}"
        for segment in shown.segments[-_MAX_TRACKED:]:
            address = Request.url_of(urlsplit(urljoin(base, segment.uri)))
            live.track(name, (address, segment.byte_range[1] if segment.byte_range else 0), segment)
    return shown
