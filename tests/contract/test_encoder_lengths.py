"""The setting reaches the model, wherever it runs, and what was asked for holds there."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.speech import samples_of, speech

from verbatim.domain.audio import Window, to_pcm
from verbatim.domain.request import DecodeOptions
from verbatim.engine.catalog import Catalog
from verbatim.engine.known_models import DEMO_NAME
from verbatim.engine.lengths import FULL_LENGTH_S, SHORT_LENGTHS_S
from verbatim.pipeline.local_service import load_engine
from verbatim.settings import load_settings


@pytest.mark.parametrize(
    ("engine", "short_context"), [("local", True), ("local", False), ("process", False)]
)
async def test_the_setting_reaches_the_model(
    engine: str, short_context: bool, tmp_path: Path
) -> None:
    settings = load_settings(
        {
            "engine": engine,
            "short_context": short_context,
            "encoder": "ctranslate2",
            "device": "cpu",
            "data_dir": tmp_path,
            "offline": True,
        }
    )
    loaded = await load_engine(settings, Catalog(settings), DEMO_NAME)
    try:
        lengths_s = SHORT_LENGTHS_S if short_context else FULL_LENGTH_S
        assert loaded.describe().lengths_s == lengths_s
        window = Window(
            to_pcm(samples_of(speech("short", "en")[0].name)),
            options=DecodeOptions(language="en", beam_size=1),
        )
        (result,) = await loaded.run([window])
        assert result.encoded_s == lengths_s[0]
        assert result.segments
    finally:
        await loaded.aclose()
