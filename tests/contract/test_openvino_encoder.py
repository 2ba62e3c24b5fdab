"""The encoder on OpenVINO: the same numbers and the same words as CTranslate2's, and in silence."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from threading import Thread

import ctranslate2
import numpy as np
import pytest
from tests.support.speech import samples_of, speech

from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.errors import ModelUnavailableError
from verbatim.domain.request import DecodeOptions
from verbatim.domain.transcript import WindowResult
from verbatim.engine import cpu_encoder
from verbatim.engine.encoder_choice import CTRANSLATE2, EncoderName, RememberedMeasurements
from verbatim.engine.features import FeatureExtractor
from verbatim.engine.local import LocalEngine
from verbatim.engine.openvino_encoder import OpenVinoEncoder, Precision, openvino_version
from verbatim.engine.protocol import LoadOptions

MODEL = Path(__file__).parents[2] / "src" / "verbatim" / "assets" / "demo-model"
ON_CPU = LoadOptions(device="cpu", cpu_threads=2)

pytestmark = pytest.mark.skipif(
    openvino_version() is None, reason="OpenVINO has no package for this kind of processor"
)


def speech_windows(options: DecodeOptions) -> list[Window]:
    found = [one for language in ("en", "zh", "ko") for one in speech("short", language, most=4)]
    return [
        Window(samples, options=replace(options, language=one.language))
        for one in found
        if len(samples := to_pcm(samples_of(one.name))) <= 30 * 16_000
    ]


def mel_of(seconds: int) -> np.ndarray:
    whole = np.concatenate([window.samples for window in speech_windows(DecodeOptions())])
    pcm = np.resize(whole, 2 * seconds * 16_000).reshape(2, -1)
    return FeatureExtractor(80).batch(list(pcm), seconds * 100)


@pytest.mark.parametrize("seconds", [30, 8])
def test_the_numbers_are_those_of_ctranslate2(seconds: int) -> None:
    mel = mel_of(seconds)
    model = ctranslate2.models.Whisper(str(MODEL), device="cpu", compute_type="float32")
    wanted = np.asarray(model.encode(ctranslate2.StorageView.from_array(mel)))
    exact = OpenVinoEncoder(MODEL, Precision.FLOAT32, threads=2).encode(mel)
    assert np.linalg.norm(exact - wanted) / np.linalg.norm(wanted) < 1e-5
    integer = OpenVinoEncoder(MODEL, Precision.INT8, threads=2).encode(mel)
    assert np.linalg.norm(integer - wanted) / np.linalg.norm(wanted) < 0.015


def test_rows_are_what_they_are_alone() -> None:
    mel = mel_of(14)
    mel = np.concatenate([mel, mel[::-1] * 0.5, mel[:1]])
    encoder = OpenVinoEncoder(MODEL, Precision.FLOAT32, threads=2)
    wanted = np.concatenate([encoder.encode(row[None]) for row in mel])
    assert np.allclose(encoder.encode(mel), wanted, atol=1e-4)
    assert not np.allclose(wanted[0], wanted[1], atol=0.1)


def results_of(encoder: EncoderName, compute_type: str) -> list[WindowResult]:
    options = replace(ON_CPU, encoder=encoder, compute_type=compute_type)
    engine = LocalEngine.load(MODEL, "demo", options)
    assert engine.describe().encoder.startswith(encoder)
    windows = speech_windows(DecodeOptions(beam_size=1, temperatures=(0.0,)))
    assert len(windows) == 12
    results = asyncio.run(engine.run(windows))
    asyncio.run(engine.aclose())
    return results


def test_the_tokens_are_those_of_ctranslate2() -> None:
    ours, theirs = (results_of(encoder, "float32") for encoder in ("openvino", "ctranslate2"))
    assert [r.tokens for r in ours] == [r.tokens for r in theirs]


def texts(result: WindowResult) -> list[str]:
    return [segment.text for segment in result.segments]


def test_with_integers_the_text_is_that_of_ctranslate2_and_times_hardly_differ() -> None:
    ours, theirs = (results_of(encoder, "int8") for encoder in ("openvino", "ctranslate2"))
    assert [texts(r) for r in ours] == [texts(r) for r in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        for a, b in zip(mine.segments, other.segments, strict=True):
            assert (a.start, a.end) == pytest.approx((b.start, b.end), abs=0.1)


def test_threads_may_share_an_encoder() -> None:
    encoder = OpenVinoEncoder(MODEL, Precision.FLOAT32, threads=2)
    mels = [
        np.random.default_rng(seed).standard_normal((1, 80, 600), np.float32) for seed in (1, 2)
    ]
    wanted = [encoder.encode(mel) for mel in mels]
    wrong: list[int] = []

    def encode(index: int) -> None:
        for _ in range(20):
            if not np.allclose(encoder.encode(mels[index], alone=False), wanted[index], atol=1e-5):
                wrong.append(index)

    threads = [Thread(target=encode, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_small_model_does_not_wait_for_openvino() -> None:
    engine = LocalEngine.load(MODEL, "demo", ON_CPU)
    assert engine.describe().encoder == CTRANSLATE2
    asyncio.run(engine.aclose())


def test_what_was_measured_decides_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(ON_CPU, encoder="openvino", data_dir=tmp_path)
    asyncio.run(LocalEngine.load(MODEL, "demo", options).aclose())
    [measured] = RememberedMeasurements(tmp_path).all().values()
    assert set(measured.window_ms) >= {CTRANSLATE2, "openvino-float32", "openvino-int8"}

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(cpu_encoder, "measure_encoders", never)
    engine = LocalEngine.load(MODEL, "demo", options)
    assert engine.describe().encoder == measured.fastest(without=(CTRANSLATE2,))
    asyncio.run(engine.aclose())


def test_openvino_that_is_asked_for_and_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu_encoder, "openvino_version", lambda: None)
    with pytest.raises(ModelUnavailableError, match="pip install openvino"):
        LocalEngine.load(MODEL, "demo", replace(ON_CPU, encoder="openvino"))


LOADS: str = """
import socket, sys
attempts = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        attempts.append((event, args[1:]))
sys.addaudithook(hook)
from pathlib import Path
from verbatim.engine.openvino_encoder import OpenVinoEncoder, Precision
OpenVinoEncoder(Path(sys.argv[1]), Precision.FLOAT32, 1)
import time
time.sleep(1.0)  # reporters work in threads of their own
assert "openvino" in sys.modules
print(attempts)
"""


def test_nobody_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADS, str(MODEL)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr
