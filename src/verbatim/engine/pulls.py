"""Downloads of models that run beside everything else, watched by whoever asks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import structlog

from verbatim.domain.errors import (
    BadRequestError,
    InternalError,
    OverloadedError,
    VerbatimError,
)
from verbatim.engine.catalog import Catalog
from verbatim.engine.downloads import DownloadProgress, Phase
from verbatim.engine.hub_cache import is_repository_name
from verbatim.engine.known_models import find_known, means_default

log = structlog.stdlib.get_logger(__name__)

MAX_RUNNING: Final = 2
"""More would only share the network's speed."""
MAX_REMEMBERED: Final = 64
RETRY_S: Final = 60.0


class PullPhase(StrEnum):
    """What became of it so far."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Pull:
    """A download as it is now.

    Attributes:
        name: of the model, as lists show it.
        doing: whether files are fetched or checked.
        done_bytes: of all files together, counting what lay there before; 0 before it is known.
        total_bytes: of all files together; 0 before it is known.
        error: why it failed, for people.
    """

    name: str
    state: PullPhase
    doing: Phase = "download"
    done_bytes: int = 0
    total_bytes: int = 0
    error: str | None = None


class _CancelledError(Exception):
    """Ends the thread that downloads; what has arrived stays."""


class Pulls:
    """Fetches models, each in a thread of its own that does not keep the process from ending.

    Its methods are for one thread, that of the event loop.

    Args:
        catalog: fetches; what is there already it verifies and mends.
        start: runs a function in a thread.
    """

    def __init__(
        self, catalog: Catalog, start: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        self._catalog = catalog
        self._start = start or _in_daemon_thread
        self._lock = threading.Lock()
        self._pulls: dict[str, Pull] = {}
        """The oldest first."""
        self._unwanted: set[str] = set()

    def list(self) -> tuple[Pull, ...]:
        """All that run, and those that ended last."""
        with self._lock:
            return tuple(self._pulls.values())

    def begin(self, name: str) -> Pull:
        """Fetch a model, or join who does already.

        Args:
            name: a known model's, or one of the hub (OWNER/NAME).

        Raises:
            BadRequestError: it is neither.
            OverloadedError: as many as may run do.
        """
        shown = shown_name(name)
        with self._lock:
            running = [p for p in self._pulls.values() if p.state is PullPhase.RUNNING]
            if (known := self._pulls.get(shown)) in running and known is not None:
                self._unwanted.discard(shown)
                return known
            if len(running) >= MAX_RUNNING:
                raise OverloadedError(
                    f"{MAX_RUNNING} models are being fetched already; try again once one is here.",
                    retry_after_s=RETRY_S,
                )
            self._pulls.pop(shown, None)
            pull = self._pulls[shown] = Pull(shown, PullPhase.RUNNING)
            for ended in [p for p in self._pulls.values() if p.state is not PullPhase.RUNNING]:
                if len(self._pulls) > MAX_REMEMBERED:
                    del self._pulls[ended.name]
        self._start(lambda: self._fetch(shown))
        return pull

    def cancel(self, name: str) -> bool:
        """Stop fetching a model, soon; says whether it was being fetched."""
        shown = shown_name(name)
        with self._lock:
            pull = self._pulls.get(shown)
            if pull is None or pull.state is not PullPhase.RUNNING:
                return False
            self._unwanted.add(shown)
            return True

    def _fetch(self, name: str) -> None:
        """In the thread."""
        ended = PullPhase.FAILED
        error: str | None = None
        try:
            self._catalog.pull(name, lambda progress: self._tell(name, progress))
            ended = PullPhase.DONE
        except _CancelledError:
            ended = PullPhase.CANCELLED
        except VerbatimError as failure:
            error = failure.message
        except Exception as failure:
            log.error("a model's download failed", model=name, exc_info=failure)
            error = InternalError("The download failed; the server's log says why.").message
        log.info("a model's download ended", model=name, state=ended.value, reason=error)
        with self._lock:
            self._unwanted.discard(name)
            self._pulls[name] = replace(self._pulls[name], state=ended, error=error)

    def _tell(self, name: str, progress: DownloadProgress) -> None:
        with self._lock:
            if name in self._unwanted:
                raise _CancelledError
            self._pulls[name] = replace(
                self._pulls[name],
                doing=progress.phase,
                done_bytes=progress.done_bytes,
                total_bytes=progress.total_bytes,
            )


def shown_name(name: str) -> str:
    """A model's name as lists show it.

    Raises:
        BadRequestError: nothing can be fetched under this name.
    """
    if means_default(name):
        raise BadRequestError("Name the model to fetch.", param="model")
    if (known := find_known(name)) is not None:
        return known.name
    if is_repository_name(name):
        return name
    raise BadRequestError(
        f'"{name[:100]}" can not be fetched: it is neither a known model nor a name of the hub '
        "(OWNER/NAME).",
        param="model",
    )


def _in_daemon_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="pull", daemon=True).start()
