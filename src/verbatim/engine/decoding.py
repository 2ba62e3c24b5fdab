"""A batch of windows through a Whisper model: features, language, text with fallback, word times.

Source of the procedure: openai-whisper's `transcribe.py` and `decoding.py` (Radford et al. 2022);
what differs is that rows of one batch go through each step together, and that a retry at a higher
temperature uses the encoder's output again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Final

from verbatim.domain.audio import Window
from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import DecodeOptions, Task
from verbatim.domain.transcript import Segment, WindowResult
from verbatim.domain.units import FRAMES_PER_SECOND, HOP_SAMPLES, MAX_TOKENS, TIME_STEP_S
from verbatim.engine.batching import search_options
from verbatim.engine.features import FeatureExtractor
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

ENGLISH: Final = "en"


@dataclass(slots=True)
class _Row:
    """One window on its way through the batch."""

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


class Decoder:
    """The steps of a batch; holds the model and constants, nothing of any request.

    Args:
        model: the network; see `WhisperModel`.
        languages: codes that the model knows.
    """

    def __init__(
        self,
        model: WhisperModel,
        tokenizer: WhisperTokenizer,
        features: FeatureExtractor,
        languages: tuple[str, ...],
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._features = features
        self._languages = languages
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

    def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode one batch; blocks. Results in the windows' order."""
        rows = [_Row(place, window) for place, window in enumerate(windows)]
        mel = self._features.batch([window.samples for window in windows])
        encoded = self._model.encode(mel)
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
        for group in _groups(rows, _batch_key):
            self._generate(group, encoded, len(rows))
        return self._results(rows, encoded)

    @property
    def _multilingual(self) -> bool:
        return len(self._languages) > 1

    def _set_languages(self, rows: list[_Row], encoded: Storage) -> None:
        unknown = []
        for row in rows:
            if row.window.options.language:
                row.language = row.window.options.language
            elif self._multilingual:
                unknown.append(row)
        if not unknown:
            return
        found = self._model.detect_language(self._rows_of(encoded, unknown, len(rows)))
        for row, ranked in zip(unknown, found, strict=True):
            allowed = row.window.options.candidate_languages or self._languages
            row.probabilities = tuple((code, p) for code, p in ranked if code in allowed)
            row.language = row.probabilities[0][0]

    def _rows_of(self, encoded: Storage, rows: Sequence[_Row], batch: int) -> Storage:
        """The encoder's output of some rows; where it is all of them, nothing is copied."""
        if len(rows) == batch:
            return encoded
        return self._model.select(encoded, [row.place for row in rows])

    def _generate(self, rows: list[_Row], encoded: Storage, batch: int) -> None:
        """Decode rows of equal options, at rising temperatures until the gates are passed."""
        options = rows[0].window.options
        pending = rows
        for temperature in options.temperatures:
            outputs = self._model.generate(
                self._rows_of(encoded, pending, batch),
                [list(row.prompt) for row in pending],
                **self._search_options(options, temperature, pending),
            )
            again: list[_Row] = []
            for row, output in zip(pending, outputs, strict=True):
                attempt = self._attempt(output, temperature, options)
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

    def _results(self, rows: list[_Row], encoded: Storage) -> list[WindowResult]:
        results = [self._result(row) for row in rows]
        wanted = [
            row
            for row, result in zip(rows, results, strict=True)
            if (row.window.options.word_timestamps or row.window.options.token_logprobs)
            and (result.segments or result.tail)
        ]
        for group in _groups(wanted, lambda row: row.start):
            aligned = self._aligner.align(
                self._rows_of(encoded, group, len(rows)),
                [results[row.place] for row in group],
                [row.window for row in group],
                group[0].start,
            )
            for row, result in zip(group, aligned, strict=True):
                results[row.place] = result
        return results

    def _result(self, row: _Row) -> WindowResult:
        window, attempt = row.window, row.chosen
        if attempt is None:
            raise ValueError("a window was given no temperature to be decoded at")
        frames = len(window.samples) // HOP_SAMPLES
        split = split_at_timestamps(
            attempt.tokens, self._tokenizer.special.first_timestamp, frames / FRAMES_PER_SECOND
        )
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
