"""A batch of windows through a Whisper model: features, language, text with fallback, word times.

Source of the procedure: openai-whisper's `transcribe.py` and `decoding.py` (Radford et al. 2022);
what differs is that rows of one batch go through each step together, that a retry at a higher
temperature uses the encoder's output again, and that a short window is first encoded at a length
that fits it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from verbatim.domain.audio import Window
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import DecodeOptions, Task
from verbatim.domain.transcript import Segment, WindowResult
from verbatim.domain.units import (
    FRAMES_PER_SECOND,
    HOP_SAMPLES,
    MAX_TOKENS,
    SAMPLE_RATE_HZ,
    TIME_STEP_S,
)
from verbatim.engine.batching import search_options
from verbatim.engine.features import FeatureExtractor, Mel, stack
from verbatim.engine.lengths import FULL_LENGTH_S, length_for
from verbatim.engine.model import Generation, SearchOptions, Storage, WhisperModel
from verbatim.engine.tokenizer import WhisperTokenizer
from verbatim.engine.words import Aligner
from verbatim.stages.fallback import (
    Attempt,
    Verdict,
    average_logprob,
    best_failure,
    compression_ratio,
    judge,
)
from verbatim.stages.prompts import build_prompt, start_sequence
from verbatim.stages.segments import Split, TimedTokens, split_at_timestamps
from verbatim.stages.short_context import LEAST_LANGUAGE_PROBABILITY, doubt

ENGLISH: Final = "en"
TRIAL: Final = DecodeOptions(language=ENGLISH, beam_size=1, temperatures=(0.0,), max_new_tokens=1)
"""As little work as shows whether a device works."""


@dataclass(frozen=True, slots=True, eq=False)
class ReadyWindow:
    """A window and its log-mel, float32 (mels, frames)."""

    window: Window
    mel: Mel


@dataclass(slots=True)
class _Row:
    """One window on its way through the batch.

    Attributes:
        number: of the window, for whoever wants its result.
        place: its row in the encoder's output.
    """

    number: int
    place: int
    window: Window
    language: str = ENGLISH
    probabilities: tuple[tuple[str, float], ...] = ()
    start: tuple[int, ...] = ()
    prompt: tuple[int, ...] = ()
    attempts: list[Attempt] = field(default_factory=list)
    chosen: Attempt | None = None
    silent: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Encoded:
    """The encoder's output (rows, positions, width) and the audio that a row of it stands for."""

    storage: Storage
    rows: int
    length_s: float


class Decoder:
    """The steps of a batch; holds the model and constants, nothing of any request.

    Args:
        model: the network; see `WhisperModel`.
        languages: codes that the model knows.
        lengths_s: what may be encoded at once; see `EngineDescription.lengths_s`.
    """

    def __init__(
        self,
        model: WhisperModel,
        tokenizer: WhisperTokenizer,
        features: FeatureExtractor,
        languages: tuple[str, ...],
        lengths_s: tuple[float, ...] = FULL_LENGTH_S,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._features = features
        self._languages = languages
        self._lengths_s = lengths_s
        self._aligner = Aligner(model, tokenizer)

    def check(self, windows: Sequence[Window]) -> None:
        """Refuse what the model cannot do.

        Raises:
            BadRequestError: an unknown language, or translation by an English-only model.
        """
        for options in {window.options for window in windows}:
            for code in filter(None, (options.language, *options.candidate_languages)):
                if code not in self._languages:
                    raise BadRequestError(
                        f"The model does not know the language {code!r}. It knows: "
                        f"{', '.join(self._languages)}.",
                        param="language",
                    )
            if options.task is Task.TRANSLATE and len(self._languages) == 1:
                raise BadRequestError(
                    "This model knows only English and cannot translate; take a multilingual one.",
                    param="task",
                )

    def make_ready(self, window: Window) -> ReadyWindow:
        """What of a window's work needs no device; blocks, and any thread may do it."""
        return ReadyWindow(window, self._features.columns(window.samples))

    def try_out(self) -> None:
        """Compute a little with the whole model; blocks. What is missing or broken shows here."""
        ready = self.make_ready(Window(np.zeros(SAMPLE_RATE_HZ, np.int16), options=TRIAL))
        rows, encoded = self._encode([ready], [0], self._lengths_s[0])
        self._attempts(rows, encoded, TRIAL.temperatures[0])

    def run(self, windows: Sequence[ReadyWindow]) -> list[WindowResult]:
        """Decode one batch; blocks. Results in the windows' order.

        A window is encoded at the shortest length that holds it. If its text is in doubt there, it
        is decoded again at full length, together with the others of which this is true, and gives
        what it would have given there at once; a provisional one gives no text.
        """
        found: dict[int, WindowResult] = {}
        *short, full = self._lengths_s
        lengths = [length_for(ready.window.duration_s, self._lengths_s) for ready in windows]
        # Not all at the longest of them: a result must not depend on what shares the batch.
        for length_s in short:
            fitting = [number for number, each in enumerate(lengths) if each == length_s]
            found |= self._try(windows, fitting, length_s)
        found |= self._decode(windows, [n for n in range(len(windows)) if n not in found], full)
        return [found[number] for number in range(len(windows))]

    def _try(
        self, windows: Sequence[ReadyWindow], numbers: Sequence[int], length_s: float
    ) -> dict[int, WindowResult]:
        """Decode some windows at a short length; gives the results that need no other."""
        if not numbers:
            return {}
        rows, encoded = self._encode(windows, numbers, length_s)
        rows = [row for row in rows if _sure_of_language(row)]
        for group in _groups(rows, _batch_key):
            self._try_once(group, encoded)
        return self._results([row for row in rows if row.chosen is not None], encoded)

    def _decode(
        self, windows: Sequence[ReadyWindow], numbers: Sequence[int], length_s: float
    ) -> dict[int, WindowResult]:
        """Decode some windows for good, with all temperatures."""
        if not numbers:
            return {}
        rows, encoded = self._encode(windows, numbers, length_s)
        for group in _groups(rows, _batch_key):
            self._generate(group, encoded)
        return self._results(rows, encoded)

    def _encode(
        self, windows: Sequence[ReadyWindow], numbers: Sequence[int], length_s: float
    ) -> tuple[list[_Row], _Encoded]:
        """Some windows as rows that are ready to be decoded."""
        rows = [_Row(number, place, windows[number].window) for place, number in enumerate(numbers)]
        frames = round(length_s * FRAMES_PER_SECOND)
        mel = stack([windows[number].mel for number in numbers], frames)
        encoded = _Encoded(self._model.encode(mel), len(rows), length_s)
        self._set_languages(rows, encoded)
        special = self._tokenizer.special
        for row in rows:
            token = self._tokenizer.language_token(row.language) if self._multilingual else None
            row.start = start_sequence(special, token, row.window.options.task)
            row.prompt = build_prompt(
                special,
                self._tokenizer.encode,
                row.window.options,
                row.start,
                row.window.context_tokens,
            )
        return rows, encoded

    @property
    def _multilingual(self) -> bool:
        return len(self._languages) > 1

    def _set_languages(self, rows: list[_Row], encoded: _Encoded) -> None:
        unknown = []
        for row in rows:
            if row.window.options.language:
                row.language = row.window.options.language
            elif self._multilingual:
                unknown.append(row)
        if not unknown:
            return
        found = self._model.detect_language(self._rows_of(encoded, unknown))
        for row, ranked in zip(unknown, found, strict=True):
            allowed = row.window.options.candidate_languages or self._languages
            row.probabilities = tuple((code, p) for code, p in ranked if code in allowed)
            row.language = row.probabilities[0][0]

    def _rows_of(self, encoded: _Encoded, rows: Sequence[_Row]) -> Storage:
        """The encoder's output of some rows; where it is all of them, nothing is copied."""
        if len(rows) == encoded.rows:
            return encoded.storage
        return self._model.select(encoded.storage, [row.place for row in rows])

    def _try_once(self, rows: list[_Row], encoded: _Encoded) -> None:
        """Decode rows of equal options at the first temperature; what is in doubt is not chosen."""
        options = rows[0].window.options
        attempts = self._attempts(rows, encoded, options.temperatures[0])
        for row, attempt in zip(rows, attempts, strict=True):
            split = self._split(row, attempt)
            if doubt(attempt, split, row.window.duration_s, options.gates) is None:
                row.chosen = attempt
            elif row.window.options.provisional:
                row.chosen, row.silent = attempt, True

    def _generate(self, rows: list[_Row], encoded: _Encoded) -> None:
        """Decode rows of equal options, at rising temperatures until the gates are passed."""
        options = rows[0].window.options
        pending = rows
        for temperature in options.temperatures:
            attempts = self._attempts(pending, encoded, temperature)
            again: list[_Row] = []
            for row, attempt in zip(pending, attempts, strict=True):
                row.attempts.append(attempt)
                verdict = judge(attempt, options.gates)
                if verdict is Verdict.RETRY:
                    again.append(row)
                else:
                    row.chosen, row.silent = attempt, verdict is Verdict.SILENCE
            pending = again
            if not pending:
                return
        for row in pending:
            row.chosen, row.failed = best_failure(row.attempts, options.gates), True

    def _attempts(self, rows: list[_Row], encoded: _Encoded, temperature: float) -> list[Attempt]:
        """One `generate` call for rows of equal options."""
        options = rows[0].window.options
        outputs = self._model.generate(
            self._rows_of(encoded, rows),
            [list(row.prompt) for row in rows],
            **self._search_options(options, temperature, rows),
        )
        return [self._attempt(output, temperature, options) for output in outputs]

    def _search_options(
        self, options: DecodeOptions, temperature: float, rows: Sequence[_Row]
    ) -> SearchOptions:
        special = self._tokenizer.special
        listed = set(options.suppress_tokens)
        if -1 in listed:
            listed = (listed - {-1}) | set(self._tokenizer.non_speech)
        if listed:
            listed |= set(special.never_written)
        longest = max(len(row.prompt) for row in rows)
        length = MAX_TOKENS
        if options.max_new_tokens is not None:
            length = min(MAX_TOKENS, longest + options.max_new_tokens)
        sampled = temperature > 0
        return SearchOptions(
            beam_size=1 if sampled else options.beam_size,
            patience=1.0 if sampled else options.patience,
            num_hypotheses=options.best_of if sampled else 1,
            sampling_topk=0 if sampled else 1,
            sampling_temperature=temperature if sampled else 1.0,
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            max_length=length,
            suppress_blank=options.suppress_blank,
            suppress_tokens=sorted(listed),
            max_initial_timestamp_index=round(options.max_initial_timestamp_s / TIME_STEP_S),
        )

    def _attempt(self, output: Generation, temperature: float, options: DecodeOptions) -> Attempt:
        tokens = tuple(output.sequences_ids[0])
        text = self._tokenizer.decode(tokens).strip()
        return Attempt(
            tokens=tokens,
            text=text,
            temperature=temperature,
            avg_logprob=average_logprob(output.scores[0], len(tokens), options.length_penalty),
            no_speech_prob=output.no_speech_prob,
            compression_ratio=compression_ratio(text),
        )

    def _results(self, rows: Sequence[_Row], encoded: _Encoded) -> dict[int, WindowResult]:
        results = {row.number: self._result(row, encoded) for row in rows}
        wanted = [
            row
            for row in rows
            if (row.window.options.word_timestamps or row.window.options.token_logprobs)
            and (results[row.number].segments or results[row.number].tail)
        ]
        for group in _groups(wanted, lambda row: row.start):
            aligned = self._aligner.align(
                self._rows_of(encoded, group),
                [results[row.number] for row in group],
                [row.window for row in group],
                group[0].start,
            )
            results |= {row.number: each for row, each in zip(group, aligned, strict=True)}
        return results

    def _split(self, row: _Row, attempt: Attempt) -> Split:
        frames = len(row.window.samples) // HOP_SAMPLES
        return split_at_timestamps(
            attempt.tokens, self._tokenizer.special.first_timestamp, frames / FRAMES_PER_SECOND
        )

    def _result(self, row: _Row, encoded: _Encoded) -> WindowResult:
        window, attempt = row.window, row.chosen
        if attempt is None:
            raise ValueError("a window was given no temperature to be decoded at")
        split = self._split(row, attempt)
        if row.silent:
            split = Split((), None, window.duration_s, heard_out=True)
        segments = (self._segment(row, attempt, timed) for timed in split.closed)
        return WindowResult(
            segments=tuple(s for s in segments if s.start != s.end and s.text.strip()),
            tail=self._segment(row, attempt, split.tail) if split.tail else None,
            tokens=() if row.silent else attempt.tokens,
            language=row.language,
            language_probability=row.probabilities[0][1] if row.probabilities else 1.0,
            language_probabilities=row.probabilities,
            no_speech_prob=attempt.no_speech_prob,
            avg_logprob=attempt.avg_logprob,
            compression_ratio=attempt.compression_ratio,
            temperature=attempt.temperature,
            advance_s=split.advance_s,
            heard_out=split.heard_out,
            needed_fallback=row.failed,
            encoded_s=encoded.length_s,
        )

    def _segment(self, row: _Row, attempt: Attempt, timed: TimedTokens) -> Segment:
        return Segment(
            id=0,
            seek=0,
            start=timed.start,
            end=timed.end,
            text=self._tokenizer.decode(timed.tokens),
            tokens=timed.tokens,
            temperature=attempt.temperature,
            avg_logprob=attempt.avg_logprob,
            compression_ratio=attempt.compression_ratio,
            no_speech_prob=attempt.no_speech_prob,
            language=row.language,
        )


def _sure_of_language(row: _Row) -> bool:
    """Whether the language was given, or was told with confidence."""
    return not row.probabilities or row.probabilities[0][1] >= LEAST_LANGUAGE_PROBABILITY


def _batch_key(row: _Row) -> Hashable:
    """What rows of one `generate` call must share.

    CTranslate2 wants the start token at the same place in all rows, so equally long contexts.
    """
    return search_options(row.window.options), len(row.prompt)


def _groups(rows: Sequence[_Row], key: Callable[[_Row], Hashable]) -> list[list[_Row]]:
    found: dict[Hashable, list[_Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return list(found.values())
