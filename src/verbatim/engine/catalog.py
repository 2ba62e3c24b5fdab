"""Models by name: what there is, what is on this machine, and how to get what is not.

A name is one of `known_models`, one of an alias, a hub repository (OWNER/NAME), a folder in the
models directory, or, where the caller may name paths, any folder. The methods read and write the
disk and may use the network: from asynchronous code, call them in a thread.
"""

from __future__ import annotations

import difflib
import functools
import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verbatim.domain.errors import (
    BadRequestError,
    ForbiddenError,
    ModelNotFoundError,
    ModelUnavailableError,
    StorageFullError,
)
from verbatim.domain.transcript import TranscriptWarning, WarningCode
from verbatim.engine.downloads import ProgressListener
from verbatim.engine.hardware import Hardware, measure_hardware
from verbatim.engine.hub import HUB_UNREACHABLE, HubClient, HubConfig
from verbatim.engine.hub_cache import is_repository_name, size_bytes
from verbatim.engine.known_models import (
    DEFAULT_ALIASES,
    DEMO_NAME,
    KNOWN_MODELS,
    KnownModel,
    find_known,
    means_default,
)
from verbatim.engine.model_choice import preferred_models, wanted_model
from verbatim.engine.model_entry import ModelEntry, cache_entry, folder_entry, model_entry
from verbatim.engine.model_folder import (
    ModelFiles,
    folder_problem,
    looks_like_model,
)
from verbatim.settings import Settings

BUNDLED_DEMO: Final = Path(__file__).parents[1] / "assets" / "demo-model"

_FOLDER_NAME: Final = re.compile(r"\w[\w.+ -]*")
_LONGEST_FOLDER_NAME_BYTES: Final = 255
_LONGEST_NAME_SHOWN: Final = 80
_DEMO_WARNING: Final = (
    "The bundled demo model was used: it knows only a few hundred words of English, Mandarin and "
    "Korean. Get a real one with `verbatim models pull small`."
)


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """All that is known of a name; either part may be missing, not both."""

    name: str
    known: KnownModel | None
    entry: ModelEntry | None


@dataclass(frozen=True, slots=True)
class _Absent:
    """A model that the hub may have, and this machine has not."""

    name: str
    repository: str
    known: bool


class Catalog:
    """Finds, lists, fetches and removes models. Safe to use from several threads."""

    def __init__(
        self,
        settings: Settings,
        hub: HubClient | None = None,
        hardware: Callable[[], Hardware] = measure_hardware,
        demo_folder: Path = BUNDLED_DEMO,
    ) -> None:
        self._settings = settings
        self._hub = hub or HubClient(
            HubConfig.from_environment(os.environ, offline=settings.offline)
        )
        self._hardware = functools.cache(hardware)
        self._demo_folder = demo_folder
        self._default: ModelFiles | None = None
        self._default_lock = threading.Lock()

    def resolve(self, name: str, *, allow_paths: bool = False) -> ModelFiles:
        """Find a model on disk; the network is never used.

        Args:
            name: as the module's text says.
            allow_paths: the caller is trusted, and may name folders anywhere.

        Raises:
            ModelNotFoundError: nothing has this name, or the folder is no model.
            ModelUnavailableError: it is known, and not on this machine.
        """
        if means_default(name):
            return self._default_on_disk()
        found = self._find(name, allow_paths=allow_paths)
        if isinstance(found, _Absent):
            raise self._not_installed(found)
        return found

    def ensure(
        self, name: str, progress: ProgressListener | None = None, *, allow_paths: bool = False
    ) -> ModelFiles:
        """Find a model on disk, or download it; what is on disk needs no network.

        Callers that are not trusted (`allow_paths` false) can have known models downloaded, and
        no others.

        Raises:
            ModelNotFoundError: nothing has this name, here or on the hub.
            ModelUnavailableError: it cannot be had now (offline, no network, no permission).
            StorageFullError: the disk has no room for it.
        """
        if means_default(name):
            return self.default(progress)
        found = self._find(name, allow_paths=allow_paths)
        if not isinstance(found, _Absent):
            return found
        if self._hub.config.offline or not (found.known or allow_paths):
            raise self._not_installed(found)
        return self._download(found.name, found.repository, progress)

    def pull(self, name: str, progress: ProgressListener | None = None) -> ModelFiles:
        """Fetch the newest version of a model, or verify and mend the one that is here.

        Without a network, what is on disk is verified only.

        Raises:
            BadRequestError: the name means no model of the hub.
            ModelNotFoundError: nothing has this name.
            ModelUnavailableError: it cannot be had now, or is damaged and cannot be mended.
            StorageFullError: the disk has no room for it.
        """
        if means_default(name):
            name = self._wanted_name()
        found = self._find(name, allow_paths=True)
        repository = self._repository_of(found)
        if isinstance(found, _Absent):
            return self.ensure(found.name, progress, allow_paths=True)
        if repository is None:
            where = "comes with the package" if found.is_demo else f"is your own ({found.folder})"
            raise BadRequestError(f"{found.name} {where}; there is nothing to pull.")
        if self._hub.config.offline:
            return self._verified(found)
        try:
            return self._download(found.name, repository, progress)
        except ModelUnavailableError as error:
            if error.code != HUB_UNREACHABLE:
                raise
            return self._verified(found)

    def default(self, progress: ProgressListener | None = None) -> ModelFiles:
        """The model of `settings.model`; "auto" chooses, once.

        "auto" takes the best for this machine that is installed; else it tries to download the one
        that `model_choice` wants; else it takes the demo model, with a warning.

        Raises:
            ModelNotFoundError: the settings name no model that there is.
            ModelUnavailableError: the settings name one that cannot be had now.
        """
        with self._default_lock:
            if self._default is None or not self._default.folder.is_dir():
                self._default = self._choose(progress)
            return self._default

    def installed(self) -> tuple[ModelEntry, ...]:
        """Every model on this machine: the models directory's, the cache's, the demo model."""
        entries = [folder_entry(folder) for folder in self._own_folders()]
        chosen = self._default
        if chosen and chosen.source == "folder" and chosen.folder not in self._own_folders():
            entries.append(model_entry(chosen.name, (), chosen.folder, chosen.source))
        entries += [cache_entry(*item) for item in self._hub.cache.models().items()]
        if looks_like_model(self._demo_folder):
            entries.append(model_entry(DEMO_NAME, (), self._demo_folder, "bundled"))
        return tuple(entries)

    def known(self) -> tuple[KnownModel, ...]:
        """The models that have a name of their own, on this machine or not."""
        return KNOWN_MODELS

    def show(self, name: str) -> ModelDetails:
        """What is known of a model, installed or not.

        Raises:
            ModelNotFoundError: nothing has this name.
        """
        found = self._find(self._concrete(name), allow_paths=True)
        known = find_known(found.name)
        if isinstance(found, _Absent):
            if known is None:
                raise self._not_installed(found)
            return ModelDetails(found.name, known, None)
        entries = (entry for entry in self.installed() if entry.folder == found.folder)
        entry = next(entries, None) or model_entry(found.name, (), found.folder, found.source)
        return ModelDetails(found.name, known, entry)

    def remove(self, name: str) -> int:
        """Delete a model from the models directory or the hub's cache; gives the bytes freed.

        Raises:
            ForbiddenError: it is the demo model, or a folder that is not in Verbatim's care.
            ModelNotFoundError: nothing has this name.
            ModelUnavailableError: it is known, and not on this machine.
        """
        found = self.resolve(self._concrete(name), allow_paths=True)
        if found.source == "bundled":
            raise ForbiddenError("The demo model is part of the package and stays.")
        if found.source == "cache":
            repository = self._repository_of(found)
            return self._hub.cache.remove(repository) if repository else 0
        if found.folder not in self._own_folders():
            raise ForbiddenError(
                f"{found.folder} is outside the models directory; delete it yourself if you want."
            )
        freed_bytes = size_bytes(found.folder)
        if found.folder.is_symlink():
            found.folder.unlink()
            return 0
        shutil.rmtree(found.folder)
        return freed_bytes

    # Finding

    def _find(self, name: str, *, allow_paths: bool) -> ModelFiles | _Absent:
        chosen = self._default
        if chosen is not None and name == chosen.name and chosen.folder.is_dir():
            return chosen  # it may be a folder whose path this caller could not name
        if name.lower() == DEMO_NAME:
            return self._demo()
        known = find_known(name)
        if (own := self._own_folder(name, known)) is not None:
            return own
        if allow_paths and known is None and (path := self._path(name)) is not None:
            return path
        repository = known.repository if known else name
        if is_repository_name(repository):
            shown = known.name if known else name
            if (snapshot := self._hub.cache.snapshot(repository)) is not None:
                return ModelFiles(shown, snapshot, "cache")
            return _Absent(shown, repository, known is not None)
        raise self._unknown(name)

    def _own_folder(self, name: str, known: KnownModel | None) -> ModelFiles | None:
        """A folder of the models directory under this name or another of the same model."""
        models_dir = self._settings.models_dir
        if models_dir is None:
            return None
        names = [name]
        if known is not None:
            aliases = (known.repository, *known.aliases)
            names += [known.name, *(alias.rpartition("/")[2] for alias in aliases)]
        for folder_name in names:
            folder = models_dir / folder_name
            if _is_folder_name(folder_name) and folder.is_dir():
                if (problem := folder_problem(folder)) is not None:
                    raise ModelNotFoundError(problem)
                return ModelFiles(known.name if known else folder_name, folder, "folder")
        return None

    def _path(self, name: str) -> ModelFiles | None:
        try:
            folder = Path(name).expanduser()
        except RuntimeError:  # the home of a user that there is not
            return None
        # A/B may be a hub name as well: only what exists, or cannot be one, is taken for a path.
        if not (name.startswith((".", "~", os.sep)) or folder.exists()):
            return None
        if (problem := folder_problem(folder)) is not None:
            raise ModelNotFoundError(problem)
        return ModelFiles(folder.resolve().name, folder.resolve(), "folder")

    def _own_folders(self) -> tuple[Path, ...]:
        models_dir = self._settings.models_dir
        try:
            if models_dir is None or not models_dir.is_dir():
                return ()
            folders = sorted(path for path in models_dir.iterdir() if path.is_dir())
        except PermissionError as error:
            raise ModelUnavailableError(
                f"The models directory {models_dir} may not be read by this user. Change its "
                "permissions, or VERBATIM_MODELS_DIR."
            ) from error
        return tuple(
            path for path in folders if _is_folder_name(path.name) and looks_like_model(path)
        )

    def _repository_of(self, found: ModelFiles | _Absent) -> str | None:
        if isinstance(found, _Absent):
            return found.repository
        if found.source != "cache":
            return None
        known = find_known(found.name)
        return known.repository if known else found.name

    def _concrete(self, name: str) -> str:
        """The name, or that of the model which the default is on disk."""
        return self._default_on_disk().name if means_default(name) else name

    # The default

    def _default_on_disk(self) -> ModelFiles:
        """The default without a network: the one chosen before, or what would be without one."""
        chosen = self._default
        if chosen is not None and chosen.folder.is_dir():
            return chosen
        if not means_default(self._settings.model):
            chosen = self.resolve(self._settings.model, allow_paths=True)
        elif (chosen := self._best_installed()) is None:
            return self._demo("No other model is installed.")
        self._default = chosen
        return chosen

    def _choose(self, progress: ProgressListener | None) -> ModelFiles:
        if not means_default(self._settings.model):
            return self.ensure(self._settings.model, progress, allow_paths=True)
        if (best := self._best_installed()) is not None:
            return best
        if self._hub.config.offline:
            return self._demo("No other model is installed, and the network is switched off.")
        wanted = wanted_model(self._hardware(), self._settings.device)
        try:
            return self._download(wanted.name, wanted.repository, progress)
        except StorageFullError:
            return self._demo("No other model is installed, and the disk has no room for one.")
        except (ModelUnavailableError, ModelNotFoundError) as error:
            unreachable = error.code == HUB_UNREACHABLE
            why = "the model hub cannot be reached." if unreachable else error.message
            return self._demo(
                f"No other model is installed, and {wanted.name} cannot be had: {why}"
            )

    def _best_installed(self) -> ModelFiles | None:
        for model in preferred_models(self._hardware(), self._settings.device):
            try:
                found = self._find(model.name, allow_paths=False)
            except ModelNotFoundError:
                continue  # a folder that is no model must not stand in the way of those that are
            if not isinstance(found, _Absent):
                return found
        own = self._own_folders()
        return ModelFiles(own[0].name, own[0], "folder") if own else None

    def _wanted_name(self) -> str:
        """What the default is, or would be with a network."""
        if not means_default(self._settings.model):
            return self._settings.model
        return wanted_model(self._hardware(), self._settings.device).name

    def _demo(self, reason: str = "") -> ModelFiles:
        if (problem := folder_problem(self._demo_folder)) is not None:
            raise ModelUnavailableError(f"The demo model is not part of this install. {problem}")
        warning = TranscriptWarning(WarningCode.DEMO_MODEL, f"{_DEMO_WARNING} {reason}".rstrip())
        return ModelFiles(DEMO_NAME, self._demo_folder, "bundled", True, (warning,))

    # Getting and listing

    def _download(
        self, name: str, repository: str, progress: ProgressListener | None
    ) -> ModelFiles:
        return ModelFiles(name, self._hub.download(repository, name, progress), "cache")

    def _verified(self, found: ModelFiles) -> ModelFiles:
        damaged = self._hub.cache.damaged_files(found.folder)
        if not damaged:
            return found
        names = ", ".join(path.name for path in damaged)
        raise ModelUnavailableError(
            f"{found.name} is damaged ({names}), and the hub is needed to mend it. Run "
            f"`verbatim models pull {found.name}` again when there is a network."
        )

    # Errors

    def _unknown(self, name: str) -> ModelNotFoundError:
        names = {DEMO_NAME, *DEFAULT_ALIASES, *(folder.name for folder in self._own_folders())}
        for model in KNOWN_MODELS:
            names |= {model.name, *model.aliases}
        close = difflib.get_close_matches(name[:_LONGEST_NAME_SHOWN].lower(), sorted(names), n=3)
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        return ModelNotFoundError(
            f'No model is called "{name[:_LONGEST_NAME_SHOWN]}".{guess} '
            "`verbatim models list` shows those there are.",
            param="model",
        )

    def _not_installed(self, absent: _Absent) -> ModelNotFoundError | ModelUnavailableError:
        if not absent.known:
            return ModelNotFoundError(
                f"{absent.name} is not on this machine. Whoever runs it can fetch it with "
                f"`verbatim models pull {absent.name}`.",
                param="model",
            )
        way = (
            f"copy its folder to MODELS_DIR/{absent.name} (VERBATIM_MODELS_DIR), or unset "
            "VERBATIM_OFFLINE and HF_HUB_OFFLINE"
            if self._hub.config.offline
            else f"run `verbatim models pull {absent.name}`"
        )
        return ModelUnavailableError(
            f"The model {absent.name} is not on this machine. To get it, {way}.", param="model"
        )


def _is_folder_name(name: str) -> bool:
    """Whether it is one part of a path, and not a hidden one."""
    short = len(name.encode(errors="replace")) <= _LONGEST_FOLDER_NAME_BYTES
    return short and _FOLDER_NAME.fullmatch(name) is not None
