"""From a window's tokens to its segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from verbatim.domain.units import TIME_STEP_S


@dataclass(frozen=True, slots=True)
class TimedTokens:
    """A stretch of tokens (timestamps included) with its time in the window, seconds."""

    start: float
    end: float
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """What a window's tokens say.

    Attributes:
        closed: stretches that the model ended.
        tail: what follows the last pair of timestamps without an end, None where nothing does.
        advance_s: up to where the window is heard for good.
        heard_out: the model said that nothing follows, or closed nothing at all.
    """

    closed: tuple[TimedTokens, ...]
    tail: TimedTokens | None
    advance_s: float
    heard_out: bool


def split_at_timestamps(tokens: Sequence[int], first_timestamp: int, duration_s: float) -> Split:
    """Cut at pairs of timestamp tokens, as openai-whisper's `transcribe` does.

    A single timestamp at the end means that nothing more is said. Tokens after the last pair belong
    to a segment that the window's end cut off. Without any pair the window is one segment; it then
    ends at its last timestamp, where that is not zero.

    Args:
        tokens: the hypothesis, without the prompt and the end token.
        first_timestamp: the token of 0.00 s; all tokens from it on are timestamps.
        duration_s: length of the window's audio.
    """

    def time_of(token: int) -> float:
        return (token - first_timestamp) * TIME_STEP_S

    is_time = [token >= first_timestamp for token in tokens]
    cuts = [i for i in range(1, len(tokens)) if is_time[i] and is_time[i - 1]]
    ended = len(tokens) >= 2 and is_time[-1] and not is_time[-2]
    if not cuts:
        times = [token for token, timed in zip(tokens, is_time, strict=True) if timed]
        end = time_of(times[-1]) if times and times[-1] != first_timestamp else duration_s
        whole = TimedTokens(0.0, end, tuple(tokens))
        return Split((whole,), None, duration_s, heard_out=True)

    if ended:
        cuts.append(len(tokens))
    bounds = list(zip([0, *cuts[:-1]], cuts, strict=True))
    closed = tuple(
        TimedTokens(time_of(tokens[a]), time_of(tokens[b - 1]), tuple(tokens[a:b]))
        for a, b in bounds
    )
    if ended:
        return Split(closed, None, duration_s, heard_out=True)
    rest = tuple(tokens[cuts[-1] :])
    advance = closed[-1].end
    tail = None
    if any(token < first_timestamp for token in rest):
        start = time_of(rest[0]) if rest[0] >= first_timestamp else advance
        tail = TimedTokens(start, max(duration_s, start), rest)
    return Split(closed, tail, advance, heard_out=False)
