"""The proof with servers made at random in its short form, and the cases that once made trouble."""

from pathlib import Path

from support.camera import Script, camera
from support.scripted_web import Asked

from chaos.fuzz import CORPUS, corpus, fuzz, try_cases
from chaos.fuzz_hls import HlsServer, sounds
from chaos.fuzz_rtsp import script
from chaos.mutations import Decoder


def test_servers_made_at_random_are_read_or_refused(tmp_path: Path) -> None:
    result = fuzz(tmp_path, 0.1)
    assert result.faults == ()
    assert result.decoded > 0
    assert len(result.refused) > 2
    assert result.cases == result.decoded + sum(result.refused.values())


def test_what_once_made_trouble_makes_none(tmp_path: Path) -> None:
    assert try_cases(tmp_path, corpus(), warm_up_s=0.0).crashed == ()


def test_a_case_follows_from_its_number(tmp_path: Path) -> None:
    sound = sounds(tmp_path)
    asked = [Asked("/1/list.m3u8", ""), Asked("/1/s1.ts", ""), Asked("/1/list.m3u8", "")]

    def said(seed: str) -> list[bytes]:
        server = HlsServer(seed, sound)
        return [server.answer(one) for one in asked]

    assert said("hls 1") == said("hls 1") != said("hls 2")
    assert script("rtsp 1").sdp == script("rtsp 1").sdp != script("rtsp 2").sdp
    assert [packet.raw for packet in script("rtsp 1").packets()] == [
        packet.raw for packet in script("rtsp 1").packets()
    ]


def test_what_is_known_to_kill_ffmpeg_kills_a_process_and_no_other_thing() -> None:
    """A camera that describes RealAudio. Whoever can keep FFmpeg from it takes this out, and puts it into CODECS."""
    text = (CORPUS.parent / "realaudio.sdp").read_text()
    with camera(Script(sdp=text)) as url, Decoder() as decoder:
        assert decoder.decode(url)[0] == "crashed"
        assert decoder.decode("/nowhere")[0] == ""
