"""A request as the form fields with which a back end is asked for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from pydantic import Field

from verbatim.domain.errors import BadRequestError
from verbatim.domain.request import DecodeOptions, Priority, Task, TranscriptionRequest
from verbatim.wire.decode_form import OFF, HintedForm

LADDER: Final = 0.0
"""The temperature that asks for the fallback ladder."""


class ForwardedForm(HintedForm):
    """The form as the back end reads it."""

    task: Task = Field(Task.TRANSCRIBE, description="The words as spoken, or in English.")

    def wanted_task(self) -> Task:
        """What to write down."""
        return self.task


def fields_of(request: TranscriptionRequest) -> Mapping[str, list[str]]:
    """The fields, each with its values.

    Raises:
        BadRequestError: it asks for something that no field says.
    """
    fields: dict[str, list[str]] = {}
    for name, value in _said(request):
        fields.setdefault(name, []).append(value)
    asked = replace(request, priority=Priority.INTERACTIVE)
    if ForwardedForm.read(_said(request)).request() != asked:
        raise BadRequestError(
            "This server passes recordings on to others, and cannot pass on log probabilities, "
            "chunking_strategy and the like. Leave them out."
        )
    return fields


def _said(request: TranscriptionRequest) -> Iterator[tuple[str, str]]:
    decode, gates = request.decode, request.decode.gates
    alone = len(decode.temperatures) == 1
    values = {
        **{name: getattr(decode, name) for name in _SAME_NAME},
        "model": request.model,
        "prompt": decode.initial_prompt,
        "temperature": decode.temperatures[0] if alone else LADDER,
        "script": request.script.value,
        "strategy": request.strategy.value,
        "condition_on_previous_text": request.condition_on_previous_text,
        "vad": request.vad,
        "multilingual": request.detect_language_per_window,
        "compression_ratio_threshold": _gate(gates.compression_ratio),
        "log_prob_threshold": _gate(gates.avg_logprob),
        "no_speech_threshold": _gate(gates.no_speech),
    }
    for name, value in values.items():
        if value is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)
    for language in request.languages:
        yield "languages", language


_SAME_NAME: Final = tuple(
    name for name in ForwardedForm.model_fields if name in DecodeOptions.__dataclass_fields__
)


def _gate(value: float | None) -> float | str:
    return OFF if value is None else value
