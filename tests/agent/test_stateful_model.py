"""A model that remembers what it heard, in a running agent: of each source by itself."""

import numpy as np
from support.tflite import model_directory
from support.waiting import wait_until
from support.wave_files import write_wave

from edgeaudio.recognise.manifest import DetectorSection


def test_each_source_has_a_memory_of_its_own(broker, run_agent, listen_to, tmp_path):
    """One hears bursts of noise, of which the model makes 0.51; the other faint noise, which is at most 0.46."""
    detector = DetectorSection(on=0.48, off=0.1, mean_of=5, refractory_s=0.2)
    word = model_directory(tmp_path, "wake_word", name="wake", detector=detector)
    noise = np.random.default_rng(0).normal(0, 0.2, 8000)
    quiet = np.random.default_rng(1).normal(0, 0.002, 8000)
    write_wave(tmp_path / "loud.wav", np.concatenate([quiet, noise, quiet]), 16_000)
    write_wave(tmp_path / "quiet.wav", np.tile(quiet, 3), 16_000)
    broker.start()
    listener = listen_to(broker)
    tables = "".join(
        f'[sources.{name}]\nurl = "{tmp_path}/{file}.wav"\nloop = true\nmodels = ["wake"]\n'
        for name, file in (("porch", "loud"), ("yard", "quiet"))
    )
    run_agent(broker, f'[models.wake]\npath = "{word}"\n{tables}').start()
    listener.wait_detection("onset")
    offset = listener.wait_detection("offset")
    listener.wait_state("yard", "listening")
    assert {(event["source"], event["label"]) for event in listener.detections()} == {("porch", "wake")}
    assert offset["model"] == "wake"

    wait_until(
        lambda: any(health["models"]["wake"]["inferences"] > 60 for health in listener.payloads("/health")),
        what="the steps are not counted",
    )
