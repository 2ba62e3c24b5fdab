"""faster-whisper: window after window, in batches, or behind a pool of threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from faster_whisper import BatchedInferencePipeline, WhisperModel

from benchmarks.contenders.contract import LANGUAGE, Served, ctranslate2_limit, serve_by_pool
from benchmarks.messages import BurstJob, Clip, FileJob

PROMPT_TOKENS: Final = 4
"""Start, language, task, no timestamps."""


def make(
    model: str,
    cores: int,
    *,
    batched: bool = False,
    batch_size: int = 8,
    workers: int = 1,
    permits: int = 1,
    device: str = "cpu",
    compute_type: str = "default",
) -> FasterWhisper:
    """Load a model.

    Args:
        model: a CTranslate2 folder.
        cores: shared by the workers.
        batched: whether recordings go through the batched pipeline.
        batch_size: of that pipeline.
        workers: `num_workers` of the model.
        permits: requests of a burst that are let to the model at the same time.
        device: "cpu" or "cuda".
        compute_type: number format.
    """
    loaded = WhisperModel(
        model,
        device=device,
        compute_type=compute_type,
        cpu_threads=max(1, cores // workers),
        num_workers=workers,
    )
    return FasterWhisper(loaded, batch_size if batched else 0, permits)


class FasterWhisper:
    """A loaded model; a `batch_size` of 0 is the sequential way."""

    def __init__(self, model: WhisperModel, batch_size: int, permits: int) -> None:
        self._model = model
        self._batched = BatchedInferencePipeline(model) if batch_size else None
        self._batch_size = batch_size
        self._permits = permits

    def versions(self) -> dict[str, str]:
        """Of faster-whisper and what it runs on."""
        return {name: version(name) for name in ("faster-whisper", "ctranslate2")}

    def remark(self) -> str:
        """The number format."""
        return str(self._model.model.compute_type)

    def file(self, job: FileJob) -> Iterator[int]:
        """Each window is one segment, since no timestamps are written."""
        for segment in self._segments(job.path, job.tokens, job.clips):
            yield len(segment.tokens)

    def burst(self, job: BurstJob) -> Sequence[Served]:
        """A thread for each request, as many at the model as there are permits."""

        def transcribe(path: str) -> list[int]:
            return [len(segment.tokens) for segment in self._segments(path, job.tokens, ())]

        return serve_by_pool(transcribe, job.paths, self._permits)

    def close(self) -> None:
        """Free the model."""
        self._model.model.unload_model()

    def _segments(self, path: str, tokens: int, clips: Sequence[Clip]) -> Iterator[Any]:
        common: dict[str, Any] = {
            "language": LANGUAGE,
            "beam_size": 1,
            "temperature": 0.0,
            "compression_ratio_threshold": None,
            "log_prob_threshold": None,
            "no_speech_threshold": None,
            "condition_on_previous_text": False,
            "without_timestamps": True,
            "max_new_tokens": ctranslate2_limit(tokens, PROMPT_TOKENS),
        }
        if self._batched is not None:
            if clips:
                common["clip_timestamps"] = [{"start": start, "end": end} for start, end in clips]
            segments, _ = self._batched.transcribe(path, batch_size=self._batch_size, **common)
        else:
            if clips:
                common["clip_timestamps"] = [moment for clip in clips for moment in clip]
            segments, _ = self._model.transcribe(path, **common)
        return iter(segments)
