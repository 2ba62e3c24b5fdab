"""Which options of a live session make sense."""

from __future__ import annotations

from typing import Final

from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import LiveOptions
from verbatim.stages import endpointing

SHORTEST_STEP_S: Final = 0.1
LONGEST_STEP_S: Final = 10.0
SHORTEST_UTTERANCE_S: Final = 5.0
LONGEST_UTTERANCE_S: Final = 3600.0
MAX_PROMPT_CHARS: Final = 10_000
MAX_LANGUAGES: Final = 100


def check_options(options: LiveOptions) -> None:
    """Refuse options that make no sense, whatever the model.

    Raises:
        BadRequestError: which one, and what it may be.
    """
    endpointing.check(options.turns)
    bounds = {
        "step_s": (SHORTEST_STEP_S, LONGEST_STEP_S),
        "max_step_s": (SHORTEST_STEP_S, LONGEST_STEP_S),
        "max_utterance_s": (SHORTEST_UTTERANCE_S, LONGEST_UTTERANCE_S),
    }
    for name, (lowest, highest) in bounds.items():
        value: float = getattr(options, name)
        if not lowest <= value <= highest:
            raise BadRequestError(
                f"The option {name} is {value}; give seconds from {lowest:g} to {highest:g}.",
                param=name,
            )
    for name in ("prompt", "hotwords"):
        text: str | None = getattr(options, name)
        if text is not None and len(text) > MAX_PROMPT_CHARS:
            raise BadRequestError(
                f"The {name} has {len(text)} characters; {MAX_PROMPT_CHARS} are the most that is "
                "taken.",
                param=name,
            )
    if len(options.languages) > MAX_LANGUAGES:
        raise BadRequestError(
            f"{len(options.languages)} languages are too many to choose among; leave them out to "
            "choose among all.",
            param="languages",
        )
