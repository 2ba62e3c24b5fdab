"""The tokenizer against faster-whisper's, on the demo model's vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer as ReferenceTokenizer
from hypothesis import given
from hypothesis import strategies as st

import verbatim
from verbatim.domain.request import DecodeOptions, Task
from verbatim.engine.tokenizer import WhisperTokenizer
from verbatim.stages.prompts import build_prompt, start_sequence
from verbatim.stages.word_timing import group_words

MODEL = Path(verbatim.__file__).parent / "assets" / "demo-model"
TOKENIZER = WhisperTokenizer.load(MODEL)
HF = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))


def reference(language: str = "en", task: str = "transcribe") -> ReferenceTokenizer:
    return ReferenceTokenizer(HF, multilingual=True, task=task, language=language)


def test_special_tokens() -> None:
    special, expected = TOKENIZER.special, reference()
    assert special.start == expected.sot
    assert special.end == expected.eot
    assert special.previous == expected.sot_prev
    assert special.no_speech == expected.no_speech
    assert special.first_timestamp == expected.timestamp_begin
    assert TOKENIZER.non_speech == expected.non_speech_tokens


def test_languages() -> None:
    assert len(TOKENIZER.languages) == 99
    assert {"en", "zh", "ko", "haw"} <= set(TOKENIZER.languages)
    assert TOKENIZER.language_token("en") == TOKENIZER.special.start + 1
    assert TOKENIZER.language_token("xx") is None


@given(st.text())
def test_text_survives(text: str) -> None:
    tokens = TOKENIZER.encode(text)
    assert TOKENIZER.token_bytes(tokens).decode() == text
    assert TOKENIZER.decode([*tokens, TOKENIZER.special.end, 50_400]) == text
    assert "".join(part for part, _ in TOKENIZER.characters(tokens)) == text


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", " Hello, it's \"ten\" o'clock (really)... isn't it?"),
        ("zh", " 我的名字是安娜。你好吗？"),
        ("ko", " 안녕하세요. 제 이름은 데이비드입니다."),
        ("ja", "こんにちは、🎉世界！"),
        ("de", " Straßenbahnhaltestelle, öffnen!"),
    ],
)
def test_words_equal_faster_whisper(language: str, text: str) -> None:
    tokens = TOKENIZER.encode(text)
    expected, expected_tokens = reference(language).split_to_word_tokens(tokens)
    words = group_words(TOKENIZER.characters(tokens), spaced=language not in {"zh", "ja"})
    assert [word.text for word in words] == expected
    assert [word.tokens for word in words] == [len(part) for part in expected_tokens]


@given(
    prompt=st.one_of(st.none(), st.text(max_size=400)),
    prefix=st.one_of(st.none(), st.text(min_size=1, max_size=60)),
    hotwords=st.one_of(st.none(), st.text(max_size=60)),
    context=st.lists(st.integers(0, 50_000), max_size=300),
    timestamps=st.booleans(),
)
def test_prompts_equal_faster_whisper(
    prompt: str | None,
    prefix: str | None,
    hotwords: str | None,
    context: list[int],
    timestamps: bool,
) -> None:
    model = WhisperModel.__new__(WhisperModel)
    model.max_length = 448
    previous = reference().encode(" " + prompt.strip()) if prompt else []
    # An empty text after stripping is no hotword for us; faster-whisper would add a lone space.
    blank = hotwords is not None and not hotwords.strip()
    expected = model.get_prompt(
        reference(),
        [*previous, *context],
        without_timestamps=not timestamps,
        prefix=prefix,
        hotwords=None if blank else hotwords,
    )
    special = TOKENIZER.special
    options = DecodeOptions(
        initial_prompt=prompt, prefix=prefix, hotwords=hotwords, timestamps=timestamps
    )
    start = start_sequence(special, TOKENIZER.language_token("en"), Task.TRANSCRIBE)
    assert list(build_prompt(special, TOKENIZER.encode, options, start, context)) == expected


def test_start_sequences() -> None:
    special = TOKENIZER.special
    korean = TOKENIZER.language_token("ko")
    assert start_sequence(special, None, Task.TRANSCRIBE) == (special.start,)
    assert start_sequence(special, korean, Task.TRANSLATE) == tuple(
        reference("ko", "translate").sot_sequence
    )
