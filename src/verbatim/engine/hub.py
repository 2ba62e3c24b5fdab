"""The hub that models are downloaded from: Hugging Face's, or a mirror of it.

Only file requests are made (`OWNER/NAME/resolve/COMMIT/FILE`), which every mirror answers; nothing
is reported about the machine or its use.
"""

from __future__ import annotations

import re
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx
from filelock import FileLock

from verbatim.domain.errors import ModelNotFoundError, ModelUnavailableError
from verbatim.engine.downloads import (
    RETRIED_STATUSES,
    DownloadProgress,
    FileReport,
    FileTransfer,
    Phase,
    ProgressListener,
    RemoteFile,
    unwritable,
)
from verbatim.engine.hub_cache import MAIN, HubCache, digest_matches
from verbatim.engine.model_folder import (
    CONFIG_FILE,
    OPTIONAL_FILES,
    VOCABULARY_FILES,
    WEIGHTS_FILE,
    folder_problem,
)
from verbatim.settings.home import home_folder

DEFAULT_ENDPOINT: Final = "https://huggingface.co"
HUB_UNREACHABLE: Final = "hub_unreachable"
"""Error code: nothing was asked of the hub, because it does not answer or must not be asked."""
PROBE_TIMEOUT_S: Final = 2.5
"""How long the hub may take to answer at all before it counts as unreachable."""
CONNECT_TIMEOUT_S: Final = 3.0
ANSWER_TIMEOUT_S: Final = 10.0
"""A connection that brings no byte for this long is broken, and another is made."""
STATUS_ATTEMPTS: Final = 3
MAX_REDIRECTS: Final = 5

_TRUE: Final = frozenset({"1", "on", "yes", "true"})
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_ETAG: Final = re.compile(r"[A-Za-z0-9-]+")
_HUB_HEADERS: Final = ("x-repo-commit", "x-linked-etag", "x-linked-size")


@dataclass(frozen=True, slots=True)
class HubConfig:
    """Where the hub is and how it is used; the variables are those of Hugging Face's own tools."""

    cache_dir: Path
    endpoint: str = DEFAULT_ENDPOINT
    token: str | None = field(default=None, repr=False)
    offline: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, offline: bool) -> HubConfig:
        """Read HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE."""
        base = environment.get("XDG_CACHE_HOME") or home_folder() / ".cache"
        home = Path(environment.get("HF_HOME") or Path(base) / "huggingface").expanduser()
        cache = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
        return cls(
            cache_dir=Path(cache).expanduser() if cache else home / "hub",
            endpoint=(environment.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/"),
            token=_token(environment, home),
            offline=offline or environment.get("HF_HUB_OFFLINE", "").lower() in _TRUE,
        )


def _token(environment: Mapping[str, str], home: Path) -> str | None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if token := environment.get(name, "").strip():
            return token
    try:
        kept = Path(environment.get("HF_TOKEN_PATH") or home / "token").expanduser()
        return kept.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A repository's newest commit and those of its files that a model needs."""

    repository: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def total_bytes(self) -> int:
        """What a whole download takes."""
        return sum(file.size_bytes for file in self.files)


class HubClient:
    """Finds out what the hub has, and fetches it into the cache."""

    def __init__(
        self,
        config: HubConfig,
        *,
        user_agent: str = "verbatim",
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.config = config
        self.cache = HubCache(config.cache_dir)
        self._user_agent = user_agent
        self._answer_timeout_s = answer_timeout_s
        self._sleep = sleep

    def probe(self) -> None:
        """Make sure that the hub answers, within 3 s whatever the network does.

        Raises:
            ModelUnavailableError: it does not, or nothing may be asked (offline).
        """
        if self.config.offline:
            raise ModelUnavailableError(
                "The network is switched off (VERBATIM_OFFLINE, --offline)."
            )
        failure: list[str] = ["no answer"]

        def ask() -> None:
            try:
                with self._client(PROBE_TIMEOUT_S) as client:
                    client.head(self.config.endpoint, follow_redirects=False)
                failure.clear()
            except httpx.HTTPError as error:
                failure[:] = [str(error) or type(error).__name__]
            except (ModelUnavailableError, httpx.InvalidURL) as error:
                failure[:] = [str(error)]

        # A name look-up has no time limit of its own: a thread that hangs in it is left behind.
        thread = threading.Thread(target=ask, name="hub-probe", daemon=True)
        thread.start()
        thread.join(PROBE_TIMEOUT_S)
        if reason := tuple(failure):
            raise ModelUnavailableError(
                f"The model hub {self.config.endpoint} cannot be reached ({reason[0]}). Check the "
                "network, the proxy (HTTPS_PROXY) or the mirror (HF_ENDPOINT).",
                code=HUB_UNREACHABLE,
            )

    def download(
        self, repository: str, name: str, progress: ProgressListener | None = None
    ) -> Path:
        """Bring the newest commit of a repository into the cache; files that are whole stay.

        Every file that is there is verified as well, and fetched again if it is damaged.

        Args:
            repository: OWNER/NAME.
            name: what to call it in messages.
            progress: hears how far it is, often, in the calling thread.

        Returns:
            The snapshot's folder.

        Raises:
            ModelNotFoundError: there is no such repository, or no model of ours in it.
            ModelUnavailableError: the hub cannot be reached or refuses, or the download fails.
            StorageFullError: the disk has no room for it.
        """
        self.probe()
        with self._client(self._answer_timeout_s) as client:
            model = self._describe(client, repository)
            try:
                with self._lock(repository):
                    return self._bring(client, model, name, progress)
            except OSError as error:
                raise unwritable(error, self.cache.folder) from error

    def _bring(
        self,
        client: httpx.Client,
        model: RemoteModel,
        name: str,
        progress: ProgressListener | None,
    ) -> Path:
        base = self.cache.repository_folder(model.repository)
        snapshot = base / "snapshots" / model.commit
        blobs = base / "blobs"
        for folder in (snapshot, blobs, base / "refs"):
            folder.mkdir(parents=True, exist_ok=True)
        transfer = FileTransfer(client, self._headers(), self._sleep)
        before_bytes = 0
        for file in model.files:

            def report(phase: Phase, file_bytes: int, before_bytes: int = before_bytes) -> None:
                if progress is not None:
                    done = before_bytes + file_bytes
                    progress(DownloadProgress(name, phase, done, model.total_bytes))

            blob = blobs / file.etag
            if not _is_whole(blob, file, report):
                transfer.fetch(file, blob, report)
            _link(snapshot / file.name, blob)
            before_bytes += file.size_bytes
        (base / "refs" / MAIN).write_text(model.commit)
        if (problem := folder_problem(snapshot)) is not None:
            raise ModelNotFoundError(f"{model.repository} was downloaded, but: {problem}")
        return snapshot

    def _describe(self, client: httpx.Client, repository: str) -> RemoteModel:
        """Ask for each file that a model may have; large ones are named by their hash."""
        config, commit = self._head(client, repository, MAIN, CONFIG_FILE)
        if config is None:
            raise _not_ours(repository, CONFIG_FILE)
        found = {CONFIG_FILE: config}
        for name in (*OPTIONAL_FILES, WEIGHTS_FILE):
            file, _ = self._head(client, repository, commit, name)
            if file is not None:
                found[name] = file
        if WEIGHTS_FILE not in found:
            raise _not_ours(repository, WEIGHTS_FILE)
        if not found.keys() & set(VOCABULARY_FILES):
            raise _not_ours(repository, VOCABULARY_FILES[0])
        return RemoteModel(repository, commit, tuple(found.values()))

    def _head(
        self, client: httpx.Client, repository: str, revision: str, name: str
    ) -> tuple[RemoteFile | None, str]:
        """A file's size and hash with its commit; None where the repository has no such file."""
        url = f"{self.config.endpoint}/{repository}/resolve/{revision}/{name}"
        response, headers = self._answer(client, url)
        if response.status_code == httpx.codes.NOT_FOUND:
            if headers.get("x-error-code") == "EntryNotFound" or revision != MAIN:
                return None, headers.get("x-repo-commit", revision)
            raise ModelNotFoundError(f"{self.config.endpoint} has no repository {repository}.")
        if response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise self._refused(repository, headers)
        commit = headers.get("x-repo-commit", "")
        etag = headers.get("x-linked-etag") or headers.get("etag", "")
        etag = etag.removeprefix("W/").strip('"')
        size = headers.get("x-linked-size") or headers.get("content-length", "")
        complete = _COMMIT.fullmatch(commit) and _ETAG.fullmatch(etag) and size.isdigit()
        if response.is_error or not complete:
            raise ModelUnavailableError(
                f"{self.config.endpoint} does not answer as a model hub does (status "
                f"{response.status_code} for {repository}/{name}). Check HF_ENDPOINT and the "
                "proxy, or try again later."
            )
        return RemoteFile(name, url.replace(f"/{MAIN}/", f"/{commit}/"), int(size), etag), commit

    def _answer(self, client: httpx.Client, url: str) -> tuple[httpx.Response, dict[str, str]]:
        """HEAD, with repeats while the hub is busy, and redirects until all is known.

        A large file's redirect to its storage says all there is to know, and storage whose address
        is signed for GET refuses HEAD: so that one is not followed.
        """
        request = client.build_request(
            "HEAD", url, headers={**self._headers(), "Accept-Encoding": "identity"}
        )
        said: dict[str, str] = {}
        attempts = redirects = 0
        while True:
            try:
                response = client.send(request)
            except httpx.HTTPError as error:
                raise ModelUnavailableError(
                    f"The model hub {self.config.endpoint} does not answer ({error}). Try again."
                ) from error
            if response.status_code in RETRIED_STATUSES and attempts < STATUS_ATTEMPTS:
                attempts += 1
                self._sleep(2.0**attempts / 2)
                continue
            first = {
                name: response.headers[name] for name in _HUB_HEADERS if name in response.headers
            }
            said = first | said
            known = "x-repo-commit" in said and "x-linked-etag" in said
            if response.next_request is None or known or redirects == MAX_REDIRECTS:
                return response, {**response.headers, **said}
            redirects += 1
            request = response.next_request

    def _refused(self, repository: str, headers: Mapping[str, str]) -> ModelUnavailableError:
        page = f"{self.config.endpoint}/{repository}"
        if headers.get("x-error-code") == "GatedRepo":
            return ModelUnavailableError(
                f"{repository} is only given to those who accepted its terms: accept them on "
                f"{page} and set HF_TOKEN to a token of your account."
            )
        if self.config.token is None:
            return ModelUnavailableError(
                f"{repository} does not exist or is private. Check the name; if it is private, set "
                "HF_TOKEN to a token that may read it."
            )
        return ModelUnavailableError(
            f"{repository} does not exist, or the token in HF_TOKEN may not read it. Check both."
        )

    def _lock(self, repository: str) -> FileLock:
        folder = self.cache.folder / ".locks" / self.cache.repository_folder(repository).name
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / "verbatim.lock")

    def _client(self, answer_timeout_s: float) -> httpx.Client:
        connect_s = min(CONNECT_TIMEOUT_S, answer_timeout_s)
        timeout = httpx.Timeout(answer_timeout_s, connect=connect_s)
        try:
            return httpx.Client(timeout=timeout)
        except (ImportError, ValueError) as error:
            raise ModelUnavailableError(
                f"The proxy that the environment names cannot be used: {error}"
            ) from error

    def _headers(self) -> dict[str, str]:
        headers = {"User-Agent": self._user_agent}
        if self.config.token is not None:
            headers["Authorization"] = f"Bearer {self.config.token}"
        return headers


def _not_ours(repository: str, missing: str) -> ModelNotFoundError:
    return ModelNotFoundError(
        f"{repository} holds no CTranslate2 Whisper model: it has no {missing}. Look for a "
        "converted one (names often begin with faster-whisper), or convert it: "
        f"ct2-transformers-converter --model {repository} --output_dir FOLDER "
        "--copy_files tokenizer.json preprocessor_config.json --quantization float16"
    )


def _is_whole(blob: Path, file: RemoteFile, report: FileReport) -> bool:
    """Whether a blob lies there undamaged; one that is damaged is deleted."""
    if not blob.is_file():
        return False
    report("verify", file.size_bytes)
    if blob.stat().st_size == file.size_bytes and digest_matches(blob, file.etag):
        return True
    blob.unlink()
    return False


def _link(path: Path, blob: Path) -> None:
    """Give a blob its name in a snapshot; a copy where the file system knows no links."""
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(Path("..", "..", blob.parent.name, blob.name))
    except OSError:
        shutil.copyfile(blob, path)
