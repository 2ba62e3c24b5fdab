"""Whisper on CTranslate2, in this process: the only file that knows CTranslate2."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any, Final, Unpack

import ctranslate2
import numpy as np

from verbatim.domain.audio import Window
from verbatim.domain.errors import ModelUnavailableError
from verbatim.domain.transcript import TranscriptWarning, WarningCode, WindowResult
from verbatim.engine.cpu_encoder import EncoderSpec, find_encoder
from verbatim.engine.cuda_libraries import load_cuda_libraries
from verbatim.engine.decoding import Decoder
from verbatim.engine.encoder_choice import CTRANSLATE2, Encode, RememberedMeasurements
from verbatim.engine.features import FeatureExtractor
from verbatim.engine.feeding import Feeder
from verbatim.engine.hardware import usable_cores
from verbatim.engine.lengths import FULL_LENGTH_S, SHORT_LENGTHS_S
from verbatim.engine.model import Alignment, Array, Generation, SearchOptions, Storage
from verbatim.engine.model_folder import WEIGHTS_FILE
from verbatim.engine.prepared import NOTHING_PREPARED, Prepared
from verbatim.engine.protocol import EngineDescription, LoadOptions
from verbatim.engine.tokenizer import WhisperTokenizer
from verbatim.engine.weights import read_weights

CPU_BATCH_WINDOWS: Final = 4
"""More gain nothing on a CPU, and each takes its share of memory for attention."""
CUDA_BATCH_WINDOWS: Final = 16

_THREADS: Final = ((4, 1), (8, 2), (sys.maxsize, 4))
"""Up to so many cores, so many threads to a worker."""
_PREFERRED_ON_CUDA: Final = ("float16", "bfloat16", "int8_float16", "int8_float32", "float32")
_PREFERRED_ON_CPU: Final = ("int8_float32", "int8", "float32")


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What CTranslate2 finds on this machine.

    `compute_types` maps "cpu" and, where there is a GPU, "cuda" to the number formats they take.
    """

    cuda_devices: int
    compute_types: dict[str, tuple[str, ...]]
    ctranslate2_version: str


def devices() -> DeviceReport:
    """Look at the hardware; a broken CUDA installation counts as no GPU."""
    try:
        count = int(ctranslate2.get_cuda_device_count())
    except (RuntimeError, ValueError):
        count = 0
    present = ("cpu", "cuda") if count else ("cpu",)
    return DeviceReport(
        cuda_devices=count,
        compute_types={
            device: tuple(sorted(ctranslate2.get_supported_compute_types(device)))
            for device in present
        },
        ctranslate2_version=ctranslate2.__version__,
    )


class LocalEngine:
    """A CTranslate2 Whisper model, and what feeds it."""

    def __init__(
        self,
        model: Any,
        decoder: Decoder,
        description: EngineDescription,
        memory_bytes: int = 0,
    ) -> None:
        self._model = model
        self._description = description
        self._memory_bytes = memory_bytes
        self._feeder = Feeder(decoder, description.batch_size, description.replicas)

    @classmethod
    def load(
        cls,
        folder: Path,
        name: str,
        options: LoadOptions | None = None,
        warnings: tuple[TranscriptWarning, ...] = (),
        prepared: Prepared = NOTHING_PREPARED,
    ) -> LocalEngine:
        """Load a CTranslate2 Whisper folder and try it once. Blocks for seconds.

        Where CUDA was asked for, or found, and does not work, the model goes to the CPU and every
        transcript says so.

        Args:
            folder: of the model.
            name: under which it was asked for.
            options: where and how.
            warnings: for every transcript made with it.
            prepared: what was done beforehand.

        Raises:
            ModelUnavailableError: the folder cannot be loaded, or the device cannot do what was
                asked of it.
        """
        options = options or LoadOptions()
        wanted = options.device
        if wanted == "auto":
            wanted = "cuda" if devices().cuda_devices else "cpu"
        if wanted == "cuda":
            load_cuda_libraries()
            try:
                return cls._load_on("cuda", folder, name, options, warnings, prepared)
            except (RuntimeError, ValueError) as error:
                fallback = TranscriptWarning(
                    WarningCode.DEVICE_FALLBACK,
                    f"The GPU does not work ({_first_line(error)}); the CPU is used. "
                    "`verbatim doctor` says what is missing.",
                )
                warnings = (*warnings, fallback)
        on_cpu = replace(options, device_indexes=(0,))
        if wanted == "cuda" and "float16" in options.compute_type:
            on_cpu = replace(on_cpu, compute_type="auto")
        try:
            return cls._load_on("cpu", folder, name, on_cpu, warnings, prepared)
        except (RuntimeError, ValueError) as error:
            raise ModelUnavailableError(
                f"The model {name!r} cannot be loaded: {_first_line(error)}"
            ) from error

    @classmethod
    def _load_on(
        cls,
        device: str,
        folder: Path,
        name: str,
        options: LoadOptions,
        warnings: tuple[TranscriptWarning, ...],
        prepared: Prepared,
    ) -> LocalEngine:
        compute_type = _compute_type(device, options)
        on_cpu = device == "cpu"
        workers, threads = _parallel(options, usable_cores()) if on_cpu else (1, 0)
        with ThreadPoolExecutor(1, thread_name_prefix="tokenizer") as beside:
            reading = beside.submit(lambda: prepared.tokenizer or WhisperTokenizer.load(folder))
            model = ctranslate2.models.Whisper(
                str(folder),
                device=device,
                device_index=list(options.device_indexes),
                compute_type=compute_type,
                inter_threads=workers,
                intra_threads=threads,
            )
            encoder, encode = CTRANSLATE2, None
            if on_cpu:
                encoder, encode = _cpu_encoder(folder, name, options, model, workers * threads)
            tokenizer = reading.result()
        features = FeatureExtractor(model.n_mels)
        batch = options.batch_size or (CPU_BATCH_WINDOWS if on_cpu else CUDA_BATCH_WINDOWS)
        languages = tokenizer.languages if model.is_multilingual else ("en",)
        lengths_s = SHORT_LENGTHS_S if options.short_context else FULL_LENGTH_S
        decoder = Decoder(_Model(model, encode, workers), tokenizer, features, languages, lengths_s)
        # Missing GPU libraries only show when something is computed.
        if not (on_cpu and prepared.tried):
            decoder.try_out()
        return cls(
            model,
            decoder,
            EngineDescription(
                model=name,
                languages=languages,
                device=device,
                device_indexes=options.device_indexes,
                compute_type=str(model.compute_type),
                batch_size=batch,
                lengths_s=lengths_s,
                workers=workers,
                encoder=encoder,
                warnings=warnings,
            ),
            memory_bytes=(folder / WEIGHTS_FILE).stat().st_size,
        )

    def describe(self) -> EngineDescription:
        """What is loaded."""
        return self._description

    async def run(self, windows: Sequence[Window]) -> list[WindowResult]:
        """Decode windows in batches; see `Engine.run`."""
        return await self._feeder.run(windows)

    def memory_bytes(self) -> int:
        """The size of the weights on disk."""
        return self._memory_bytes

    async def aclose(self) -> None:
        """Free the model once the calls in flight have ended."""
        await self._feeder.aclose()
        if self._model.model_is_loaded:
            await asyncio.to_thread(self._model.unload_model)


class _Model:
    """CTranslate2's Whisper as a `WhisperModel`."""

    def __init__(self, model: Any, encode: Encode | None = None, workers: int = 1) -> None:
        self._model = model
        self._encode = encode
        self._workers = workers
        self._lock = Lock()
        self._busy = 0
        # With several GPUs any of them may take the next step, so arrays meet on the CPU.
        self._to_cpu = model.device == "cuda" and len(model.device_index) > 1

    @contextmanager
    def _at_work(self, most: int = 1) -> Iterator[int]:
        """For the time of a call; tells how many workers it has, up to `most`, and at least one."""
        with self._lock:
            taken = max(1, min(most, self._workers - self._busy))
            self._busy += taken
        try:
            yield taken
        finally:
            with self._lock:
                self._busy -= taken

    def encode(self, mel: Array) -> Storage:
        if self._encode is not None:
            with self._at_work(most=self._workers) as taken:
                output = self._encode(mel, alone=taken == self._workers)
            elsewhere: Storage = ctranslate2.StorageView.from_array(output)
            return elsewhere
        view = ctranslate2.StorageView.from_array(mel)
        encoded: Storage = self._model.encode(view, to_cpu=self._to_cpu)
        return encoded

    def select(self, encoded: Any, rows: Sequence[int]) -> Storage:
        on_cpu = encoded if encoded.device == "cpu" else encoded.to_device(ctranslate2.Device.cpu)
        chosen = np.ascontiguousarray(np.asarray(on_cpu)[list(rows)])
        view: Storage = ctranslate2.StorageView.from_array(chosen)
        return view

    def detect_language(self, encoded: Storage) -> Sequence[Sequence[tuple[str, float]]]:
        # CTranslate2 writes a language as its token, <|en|>.
        ranked = self._model.detect_language(encoded)
        return [[(token[2:-2], float(p)) for token, p in row] for row in ranked]

    def generate(
        self, encoded: Storage, prompts: Sequence[Sequence[int]], **options: Unpack[SearchOptions]
    ) -> Sequence[Generation]:
        # A worker that has nothing to do takes a share of the rows.
        with self._at_work(most=len(prompts)) as taken:
            calls = [
                self._model.generate(
                    encoded if taken == 1 else self.select(encoded, rows),
                    [list(prompts[row]) for row in rows],
                    return_scores=True,
                    return_no_speech_prob=True,
                    asynchronous=True,
                    **options,
                )
                for rows in _shares(len(prompts), taken)
            ]
            return [waiting.result() for call in calls for waiting in call]

    def align(
        self,
        encoded: Storage,
        start_sequence: Sequence[int],
        text_tokens: Sequence[Sequence[int]],
        num_frames: Sequence[int],
    ) -> Sequence[Alignment]:
        found: Sequence[Alignment] = self._model.align(
            encoded, list(start_sequence), [list(row) for row in text_tokens], list(num_frames)
        )
        return found


def _cpu_encoder(
    folder: Path, name: str, options: LoadOptions, model: Any, threads: int
) -> tuple[str, Encode | None]:
    """What encodes on a CPU; see `find_encoder`."""
    width = read_weights(folder / WEIGHTS_FILE, "encoder/layer_norm/")["gamma"].size
    spec = EncoderSpec(folder, name, str(model.compute_type), threads, model.n_mels, width)
    remembered = RememberedMeasurements(options.data_dir) if options.data_dir else None
    standing = partial(_encode, model)
    return find_encoder(spec, options.encoder, standing, remembered, ctranslate2.__version__)


def _encode(model: Any, mel: Array, *, alone: bool = True) -> Array:
    """CTranslate2's encoder as an `Encode`."""
    del alone
    return np.asarray(model.encode(ctranslate2.StorageView.from_array(mel)))


def _shares(rows: int, workers: int) -> list[range]:
    """Rows for each of some workers, as even as can be."""
    bounds = [rows * worker // workers for worker in range(workers + 1)]
    return [range(*span) for span in pairwise(bounds)]


def _parallel(options: LoadOptions, cores: int) -> tuple[int, int]:
    """Workers on a CPU, and threads of each.

    A decoding step is so little work that threads which share it mostly wait for each other: two
    workers of one thread decode 1.8 to 3 times what one of two does (tiny and base, 2 cores), and
    a lone request loses nothing. Where there are many cores, a lone request of a large model does.
    """
    cores = options.cpu_threads or cores
    threads = next(n for most, n in _THREADS if cores <= most)
    workers = options.cpu_workers or max(1, cores // threads)
    return workers, max(1, cores // workers)


def _compute_type(device: str, options: LoadOptions) -> str:
    if options.compute_type != "auto":
        return options.compute_type
    preferred = _PREFERRED_ON_CUDA if device == "cuda" else _PREFERRED_ON_CPU
    index = options.device_indexes[0] if device == "cuda" else 0
    supported = ctranslate2.get_supported_compute_types(device, index)
    return next((name for name in preferred if name in supported), "default")


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
