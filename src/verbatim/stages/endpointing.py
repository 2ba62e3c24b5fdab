"""When somebody begins to speak, and when they are done: four states over probabilities.

    QUIET ──speech──▶ STARTING ──min_speech_s of it──▶ SPEAKING ──silence──▶ STOPPING
      ▲                  │                                ▲                     │
      ├──────silence─────┘                                └───────speech────────┤
      └───────────────────────────silence_s of silence───────────────────────────┘

Speech is a frame at or above the threshold, silence one below the lower threshold
(`threshold - HYSTERESIS`). What lies between changes nothing, but counts as silence once there was
some, as in `stages.speech`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, TypeAlias

from verbatim.domain.errors import BadRequestError
from verbatim.domain.live import TurnDetection
from verbatim.domain.units import SAMPLE_RATE_HZ
from verbatim.stages.speech import FRAME_SAMPLES, MIN_LOWER_THRESHOLD, Probabilities

HYSTERESIS: Final = 0.15
SHORTEST_SILENCE_S: Final = 0.1
LONGEST_SILENCE_S: Final = 30.0
LONGEST_PADDING_S: Final = 5.0


class Phase(Enum):
    """Where a stream is."""

    QUIET = auto()
    STARTING = auto()
    SPEAKING = auto()
    STOPPING = auto()


@dataclass(frozen=True, slots=True)
class EndpointState:
    """How far a stream was heard; the default is its beginning.

    Attributes:
        phase: where it is.
        position: samples heard, a whole number of frames.
        speech_start: first sample of the speech that began; means nothing when QUIET.
        silence_start: first sample of the silence; means something when STOPPING only.
    """

    phase: Phase = Phase.QUIET
    position: int = 0
    speech_start: int = 0
    silence_start: int = 0

    @property
    def silence_samples(self) -> int:
        """How long it has been silent after speech; 0 in any other phase."""
        return self.position - self.silence_start if self.phase is Phase.STOPPING else 0


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """Speech began at `start`, a sample of the stream; known once `heard` samples were."""

    start: int
    heard: int


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Speech ended at `end`, exclusive; known once `heard` samples were."""

    end: int
    heard: int


Turn: TypeAlias = SpeechBegan | SpeechEnded


def check(options: TurnDetection) -> None:
    """Refuse options that make no sense.

    Raises:
        BadRequestError: which one, and what it may be.
    """
    bounds = {
        "threshold": (0.0, 1.0),
        "silence_s": (SHORTEST_SILENCE_S, LONGEST_SILENCE_S),
        "padding_s": (0.0, LONGEST_PADDING_S),
        "min_speech_s": (0.0, LONGEST_PADDING_S),
    }
    for name, (lowest, highest) in bounds.items():
        value: float = getattr(options, name)
        if not lowest <= value <= highest:
            raise BadRequestError(
                f"The turn detection option {name} is {value}; give a number from {lowest:g} to "
                f"{highest:g}.",
                param=name,
            )


def advance(
    state: EndpointState, probabilities: Probabilities, options: TurnDetection
) -> tuple[EndpointState, tuple[Turn, ...]]:
    """Hear the next frames.

    Args:
        state: as the call before left it.
        probabilities: (frames,) float32, speech in each of the next frames.
        options: may change from call to call.

    Returns:
        The state for the next call, and what happened, in order: beginnings and ends in turns. How
        the frames are cut into calls changes nothing.
    """
    turns: list[Turn] = []
    for probability in probabilities.tolist():
        state, turn = _step(state, probability, options)
        if turn is not None:
            turns.append(turn)
    return state, tuple(turns)


def restart(state: EndpointState) -> EndpointState:
    """The same place in the stream, as if nobody had spoken before."""
    return EndpointState(position=state.position)


def _step(
    state: EndpointState, probability: float, options: TurnDetection
) -> tuple[EndpointState, Turn | None]:
    begin, heard = state.position, state.position + FRAME_SAMPLES
    speech = probability >= options.threshold
    silence = not speech and probability < max(options.threshold - HYSTERESIS, MIN_LOWER_THRESHOLD)
    phase = state.phase
    if phase is Phase.QUIET and speech:
        phase = Phase.STARTING
        state = replace(state, speech_start=begin)
    elif phase is Phase.STARTING and silence:
        phase = Phase.QUIET
    elif phase is Phase.SPEAKING and silence:
        phase = Phase.STOPPING
        state = replace(state, silence_start=begin)
    elif phase is Phase.STOPPING and speech:
        phase = Phase.SPEAKING
    turn: Turn | None = None
    if phase is Phase.STARTING and heard - state.speech_start >= _samples(options.min_speech_s):
        phase = Phase.SPEAKING
        turn = SpeechBegan(state.speech_start, heard)
    elif phase is Phase.STOPPING and heard - state.silence_start >= _samples(options.silence_s):
        phase = Phase.QUIET
        turn = SpeechEnded(state.silence_start, heard)
    return replace(state, phase=phase, position=heard), turn


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
