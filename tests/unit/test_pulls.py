"""Downloads of models beside everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import pytest
from tests.support.live_server import wait_until

from verbatim.domain.errors import BadRequestError, ModelUnavailableError, OverloadedError
from verbatim.engine.catalog import Catalog
from verbatim.engine.downloads import DownloadProgress, ProgressListener
from verbatim.engine.pulls import MAX_REMEMBERED, MAX_RUNNING, Pull, PullPhase, Pulls


@dataclass
class SlowCatalog:
    """Fetches in steps, each when it may."""

    steps: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    fetched: list[str] = field(default_factory=list)
    fail: Exception | None = None

    def pull(self, name: str, progress: ProgressListener) -> None:
        self.fetched.append(name)
        for done in (10, 20, 30):
            progress(DownloadProgress(name, "download", done, 30))
            self.steps.acquire(timeout=10)
        if self.fail is not None:
            raise self.fail


@pytest.fixture
def catalog() -> Iterator[SlowCatalog]:
    made = SlowCatalog()
    yield made
    made.steps.release(1000)


@pytest.fixture
def pulls(catalog: SlowCatalog) -> Pulls:
    return Pulls(cast("Catalog", catalog))


def of(pulls: Pulls, name: str) -> Pull:
    (found,) = (pull for pull in pulls.list() if pull.name == name)
    return found


def test_a_download_tells_how_far_it_is(catalog: SlowCatalog, pulls: Pulls) -> None:
    assert pulls.begin("Systran/faster-whisper-tiny") == Pull("tiny", PullPhase.RUNNING)
    wait_until(lambda: of(pulls, "tiny").done_bytes == 10)
    catalog.steps.release()
    wait_until(lambda: of(pulls, "tiny").done_bytes == 20)
    catalog.steps.release(10)
    wait_until(lambda: of(pulls, "tiny").state is PullPhase.DONE)
    assert of(pulls, "tiny") == Pull("tiny", PullPhase.DONE, "download", 30, 30)


def test_a_second_wish_joins_the_first(catalog: SlowCatalog, pulls: Pulls) -> None:
    pulls.begin("tiny")
    wait_until(lambda: of(pulls, "tiny").done_bytes == 10)
    assert pulls.begin("openai/whisper-tiny").done_bytes == 10
    assert catalog.fetched == ["tiny"]


def test_a_download_can_be_stopped_and_begun_again(catalog: SlowCatalog, pulls: Pulls) -> None:
    pulls.begin("tiny")
    wait_until(lambda: of(pulls, "tiny").done_bytes == 10)
    assert pulls.cancel("tiny")
    catalog.steps.release()
    wait_until(lambda: of(pulls, "tiny").state is PullPhase.CANCELLED)
    assert of(pulls, "tiny").done_bytes == 10
    assert not pulls.cancel("tiny")
    assert pulls.begin("tiny").state is PullPhase.RUNNING
    catalog.steps.release(10)
    wait_until(lambda: of(pulls, "tiny").state is PullPhase.DONE)


def test_who_wants_it_after_all_has_it(catalog: SlowCatalog, pulls: Pulls) -> None:
    pulls.begin("tiny")
    wait_until(lambda: of(pulls, "tiny").done_bytes == 10)
    pulls.cancel("tiny")
    pulls.begin("tiny")
    catalog.steps.release(10)
    wait_until(lambda: of(pulls, "tiny").state is PullPhase.DONE)
    assert catalog.fetched == ["tiny"]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (ModelUnavailableError("The hub is away."), "The hub is away."),
        (RuntimeError("secret detail"), "The download failed; the server's log says why."),
    ],
)
def test_a_failure_is_told(
    catalog: SlowCatalog, pulls: Pulls, failure: Exception, said: str
) -> None:
    catalog.fail = failure
    catalog.steps.release(10)
    pulls.begin("tiny")
    wait_until(lambda: of(pulls, "tiny").state is PullPhase.FAILED)
    assert of(pulls, "tiny").error == said


def test_only_so_many_at_a_time(pulls: Pulls) -> None:
    for number in range(MAX_RUNNING):
        pulls.begin(f"owner/model-{number}")
    with pytest.raises(OverloadedError):
        pulls.begin("owner/another")


def test_what_ended_is_not_remembered_for_ever(catalog: SlowCatalog) -> None:
    catalog.steps.release(10_000)

    def at_once(work: Callable[[], None]) -> None:
        work()

    pulls = Pulls(cast("Catalog", catalog), at_once)
    for number in range(MAX_REMEMBERED + 5):
        pulls.begin(f"owner/model-{number}")
    names = [pull.name for pull in pulls.list()]
    assert len(names) == MAX_REMEMBERED
    assert names[-1] == f"owner/model-{MAX_REMEMBERED + 4}"


@pytest.mark.parametrize("name", ["auto", "whisper-1", "", "/etc", "../x", "a/b/c", "nothing"])
def test_what_is_no_name_of_a_model_is_refused(pulls: Pulls, name: str) -> None:
    with pytest.raises(BadRequestError):
        pulls.begin(name)
    with suppress(BadRequestError):
        assert not pulls.cancel(name)
