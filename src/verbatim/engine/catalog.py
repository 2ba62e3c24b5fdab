"""Models by name: what there is, what is on this machine, and how to get what is not.

A name is that of a known model or one of its aliases, a hub repository (OWNER/NAME), a folder in
the models directory, or, where the caller may name paths, any folder. The methods read and write
the disk and may use the network: from asynchronous code, call them in a thread.
"""

from __future__ import annotations

import functools
import os
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
from verbatim.engine.downloads import ProgressListener
from verbatim.engine.hardware import Hardware, measure_hardware
from verbatim.engine.hub import HUB_UNREACHABLE, HubClient, HubConfig
from verbatim.engine.hub_cache import size_bytes
from verbatim.engine.known_models import (
    DEMO_NAME,
    KNOWN_MODELS,
    KnownModel,
    find_known,
    means_default,
)
from verbatim.engine.model_choice import preferred_models, wanted_model
from verbatim.engine.model_entry import ModelEntry, cache_entry, folder_entry, model_entry
from verbatim.engine.model_finder import AbsentModel, ModelFinder
from verbatim.engine.model_folder import ModelFiles, looks_like_model
from verbatim.settings import Settings

BUNDLED_DEMO: Final = Path(__file__).parents[1] / "assets" / "demo-model"


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """All that is known of a name; either part may be missing, not both."""

    name: str
    known: KnownModel | None
    entry: ModelEntry | None


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
        self._finder = ModelFinder(
            settings.models_dir, self._hub.cache, demo_folder, offline=self._hub.config.offline
        )
        self._default: ModelFiles | None = None
        self._default_lock = threading.Lock()

    def resolve(self, name: str, *, allow_paths: bool = False) -> ModelFiles:
        """Find a model on disk; the network is never used.

        Args:
            name: as the module's text says.
            allow_paths: the caller is trusted, and may name folders anywhere.

        Raises:
            ModelNotFoundError: nothing has this name, or the folder is no model.
            ModelNotInstalledError: it is known, and not on this machine.
        """
        if means_default(name):
            return self._default_on_disk()
        found = self._find(name, allow_paths=allow_paths)
        if isinstance(found, AbsentModel):
            raise self._finder.not_installed(found)
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
        if not isinstance(found, AbsentModel):
            return found
        if self._hub.config.offline or not (found.known or allow_paths):
            raise self._finder.not_installed(found)
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
        if isinstance(found, AbsentModel):
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
        entries = [folder_entry(folder) for folder in self._finder.own_folders()]
        chosen = self._default
        if chosen and chosen.source == "folder" and chosen.folder not in self._finder.own_folders():
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
        if isinstance(found, AbsentModel):
            if known is None:
                raise self._finder.not_installed(found)
            return ModelDetails(found.name, known, None)
        entries = (entry for entry in self.installed() if entry.folder == found.folder)
        entry = next(entries, None) or model_entry(found.name, (), found.folder, found.source)
        return ModelDetails(found.name, known, entry)

    def remove(self, name: str) -> int:
        """Delete a model from the models directory or the hub's cache; gives the bytes freed.

        Raises:
            ForbiddenError: it is the demo model, or a folder that is not in Verbatim's care.
            ModelNotFoundError: nothing has this name.
            ModelNotInstalledError: it is known, and not on this machine.
        """
        found = self.resolve(self._concrete(name), allow_paths=True)
        if found.source == "bundled":
            raise ForbiddenError("The demo model is part of the package and stays.")
        if found.source == "cache":
            repository = self._repository_of(found)
            return self._hub.cache.remove(repository) if repository else 0
        if found.folder not in self._finder.own_folders():
            raise ForbiddenError(
                f"{found.folder} is outside the models directory; delete it yourself if you want."
            )
        freed_bytes = size_bytes(found.folder)
        if found.folder.is_symlink():
            found.folder.unlink()
            return 0
        shutil.rmtree(found.folder)
        return freed_bytes

    def _find(self, name: str, *, allow_paths: bool) -> ModelFiles | AbsentModel:
        chosen = self._default
        if chosen is not None and name == chosen.name and chosen.folder.is_dir():
            return chosen  # it may be a folder whose path this caller could not name
        return self._finder.find(name, allow_paths=allow_paths)

    def _repository_of(self, found: ModelFiles | AbsentModel) -> str | None:
        if isinstance(found, AbsentModel):
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
            return self._finder.demo("No other model is installed.")
        self._default = chosen
        return chosen

    def _choose(self, progress: ProgressListener | None) -> ModelFiles:
        if not means_default(self._settings.model):
            return self.ensure(self._settings.model, progress, allow_paths=True)
        if (best := self._best_installed()) is not None:
            return best
        if self._hub.config.offline:
            return self._finder.demo(
                "No other model is installed, and the network is switched off."
            )
        wanted = wanted_model(self._hardware(), self._settings.device)
        try:
            return self._download(wanted.name, wanted.repository, progress)
        except StorageFullError:
            return self._finder.demo(
                "No other model is installed, and the disk has no room for one."
            )
        except (ModelUnavailableError, ModelNotFoundError) as error:
            unreachable = error.code == HUB_UNREACHABLE
            why = "the model hub cannot be reached." if unreachable else error.message
            return self._finder.demo(
                f"No other model is installed, and {wanted.name} cannot be had: {why}"
            )

    def _best_installed(self) -> ModelFiles | None:
        for model in preferred_models(self._hardware(), self._settings.device):
            try:
                found = self._find(model.name, allow_paths=False)
            except ModelNotFoundError:
                continue  # a folder that is no model must not stand in the way of those that are
            if not isinstance(found, AbsentModel):
                return found
        own = self._finder.own_folders()
        return ModelFiles(own[0].name, own[0], "folder") if own else None

    def _wanted_name(self) -> str:
        """What the default is, or would be with a network."""
        if not means_default(self._settings.model):
            return self._settings.model
        return wanted_model(self._hardware(), self._settings.device).name

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
