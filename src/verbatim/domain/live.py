"""Live speech: how a session listens, and what it tells.

Times are seconds on the session's clock, which is the audio it was fed: 0.0 is its first sample,
whatever was silent, cleared or waited for since.

What is promised of text, and kept by every session:

- *Committed text only ever grows at its end.* Within an utterance each `Partial.committed` is the
  one before with `Partial.delta` appended, and `Final.text` is the last of them with `Final.delta`
  appended. The first delta has no leading space, every other brings its own.
- *The tail is a guess.* `committed + tail` is what to show; the next event may change the tail in
  any way.
- *Words follow the text.* `words` joined, without the spaces around it, is the committed text. A
  committed word stays as it is, except that the last of them may gain its closing punctuation when
  the next one comes (its text then ends differently, and that is what the delta began with).
- *Every utterance ends once*: in one `Final`, one `Failed` or one `Cleared`, in the order in which
  they were spoken; the utterances that come meanwhile wait for it.
- *The last event is `SessionEnded`.*
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final as Constant
from typing import TypeAlias

from verbatim.domain.errors import VerbatimError
from verbatim.domain.request import Script, Task
from verbatim.domain.transcript import Segment, Word

DEFAULT_MAX_UTTERANCE_S: Constant = 60.0


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """When somebody speaks, and when they are done, as voice activity detection hears it."""

    threshold: float = 0.5
    """Speech probability at which speech begins; it is over 0.15 below."""
    silence_s: float = 0.5
    """Silence that ends an utterance."""
    padding_s: float = 0.3
    """Audio before the first speech that is heard with it."""
    min_speech_s: float = 0.1
    """Shorter sounds are no speech."""


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a session listens. All of it may be changed while it runs; see `LiveSession.update`."""

    model: str = "auto"
    language: str | None = None
    """ISO 639-1 code (Whisper's set); None detects it for each utterance."""
    languages: tuple[str, ...] = ()
    """If not empty, detection chooses among these only."""
    task: Task = Task.TRANSCRIBE
    prompt: str | None = None
    """Text that sets names, style and spelling, as if it was said before."""
    hotwords: str | None = None
    """Words and phrases that are likely."""
    script: Script = Script.AS_SPOKEN
    """How Chinese is written. What was told of an utterance stays as it was written."""
    turns: TurnDetection = field(default_factory=TurnDetection)
    manual: bool = False
    """True: only `commit` ends an utterance. Silence then costs nothing and ends nothing."""
    partials: bool = True
    """False: nothing is told before an utterance ends, which costs a fraction of the work."""
    step_s: float = 0.3
    """Shortest stretch of new audio after which the text is looked at again."""
    max_step_s: float = 1.0
    """Longest, as long as the engine keeps up."""
    max_utterance_s: float = DEFAULT_MAX_UTTERANCE_S
    """An utterance that lasts longer ends after a committed word; what follows is the next."""
    second_pass: bool = False
    """Decode each utterance again with a wider search, and tell the result beside it."""


class EndReason(StrEnum):
    """Why an utterance ended."""

    ENDPOINT = "endpoint"
    """Silence followed."""
    COMMIT = "commit"
    """`commit` was called."""
    LENGTH = "length"
    """It lasted `max_utterance_s`."""
    FINISH = "finish"
    """The session's audio ended."""


class SessionEnd(StrEnum):
    """Why a session ended."""

    FINISHED = "finished"
    """`finish` was called."""
    IDLE = "idle"
    """No audio came for too long."""
    TOO_LONG = "too_long"
    """It lasted as long as a session may."""
    DRAINING = "draining"
    """The server is stopping."""
    FAILED = "failed"
    """A fault of ours; a `Failed` event came before."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak. Not told in manual sessions."""

    utterance: int
    """Counts up from 0; each utterance has its own."""
    start: float


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """They were silent for `silence_s`; `end` is when it began. Not told in manual sessions."""

    utterance: int
    end: float


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """No more audio belongs to this utterance; its `Final` follows as soon as it is known.

    An explicit commit always ends one, if need be an empty one without speech.
    """

    utterance: int
    start: float
    end: float
    reason: EndReason


@dataclass(frozen=True, slots=True)
class Partial:
    """What an utterance says so far. Told when its text or its tail changed.

    Attributes:
        start: where its audio begins.
        end: up to where it was heard.
        committed: what will not change, from the beginning of the utterance.
        delta: by what `committed` has grown since the event before; may be empty.
        tail: the guess at what follows, with the space before it if there is one.
        words: of `committed`, with their times.
        language: None as long as it is not certain.
    """

    utterance: int
    start: float
    end: float
    committed: str
    delta: str
    tail: str
    words: tuple[Word, ...]
    language: str | None


@dataclass(frozen=True, slots=True)
class Final:
    """All that an utterance said.

    Attributes:
        start: where its audio begins.
        end: where its audio ends.
        text: begins with all that was committed; empty where nothing was understood.
        delta: what `text` has beyond that.
        words: of the text, with their times.
        segments: its sentences; `tokens` are not known and empty.
        language_probability: 1.0 for a language that was given.
    """

    utterance: int
    start: float
    end: float
    text: str
    delta: str
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    language: str
    language_probability: float
    reason: EndReason


@dataclass(frozen=True, slots=True)
class SecondPass:
    """The same utterance by a wider search, beside its `Final`, which it does not replace.

    Comes some time after the `Final`, maybe after the first events of the next utterances; never
    where it failed or there was nothing to hear.
    """

    utterance: int
    start: float
    end: float
    text: str
    words: tuple[Word, ...]
    segments: tuple[Segment, ...]
    language: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """`clear` was called: the audio since the last utterance that ended is forgotten.

    `utterance` is the one that was open, which ends here; None where none was.
    """

    utterance: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An utterance could not be decoded, however often it was tried; the session goes on.

    What of it was committed stays so. `utterance` is None where the session itself failed.
    """

    utterance: int | None
    error: VerbatimError


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """Nothing more comes.

    Attributes:
        reason: why.
        audio_s: how much audio the session heard.
    """

    reason: SessionEnd
    audio_s: float


LiveEvent: TypeAlias = (
    SpeechStarted
    | SpeechStopped
    | UtteranceEnded
    | Partial
    | Final
    | SecondPass
    | Cleared
    | Failed
    | SessionEnded
)
