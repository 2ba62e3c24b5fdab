"""From a name to a model's files on this machine; the network is never used."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verbatim.domain.errors import (
    ModelNotFoundError,
    ModelNotInstalledError,
    ModelUnavailableError,
)
from verbatim.domain.transcript import TranscriptWarning, WarningCode
from verbatim.engine.hub_cache import HubCache, is_repository_name
from verbatim.engine.known_models import (
    DEFAULT_ALIASES,
    DEMO_NAME,
    KNOWN_MODELS,
    KnownModel,
    find_known,
)
from verbatim.engine.model_folder import ModelFiles, folder_problem, looks_like_model

_FOLDER_NAME: Final = re.compile(r"\w[\w.+ -]*")
_LONGEST_FOLDER_NAME_BYTES: Final = 255
_LONGEST_NAME_SHOWN: Final = 80
_DEMO_WARNING: Final = (
    "The bundled demo model was used: it knows only a few hundred words of English, Mandarin and "
    "Korean. Get a real one with `verbatim models pull small`."
)


@dataclass(frozen=True, slots=True)
class AbsentModel:
    """A model that the hub may have, and this machine has not."""

    name: str
    repository: str
    known: bool


class ModelFinder:
    """Looks for models in the models directory, at paths, and in the hub's cache.

    Args:
        models_dir: the operator's folder of models; None if there is none.
        cache: the hub's.
        demo_folder: where the demo model lies.
        offline: whether errors should advise what works without a network.
    """

    def __init__(
        self, models_dir: Path | None, cache: HubCache, demo_folder: Path, *, offline: bool
    ) -> None:
        self._models_dir = models_dir
        self._cache = cache
        self._demo_folder = demo_folder
        self._offline = offline

    def find(self, name: str, *, allow_paths: bool) -> ModelFiles | AbsentModel:
        """What a name leads to on this machine, or on the hub.

        Raises:
            ModelNotFoundError: nothing has this name, or the folder is no model.
        """
        if name.lower() == DEMO_NAME:
            return self.demo()
        known = find_known(name)
        if (own := self._own_folder(name, known)) is not None:
            return own
        if allow_paths and known is None and (path := self._path(name)) is not None:
            return path
        repository = known.repository if known else name
        if is_repository_name(repository):
            shown = known.name if known else name
            if (snapshot := self._cache.snapshot(repository)) is not None:
                return ModelFiles(shown, snapshot, "cache")
            return AbsentModel(shown, repository, known is not None)
        raise self._unknown(name)

    def _own_folder(self, name: str, known: KnownModel | None) -> ModelFiles | None:
        """A folder of the models directory under this name or another of the same model."""
        models_dir = self._models_dir
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

    def own_folders(self) -> tuple[Path, ...]:
        """The models of the models directory.

        Raises:
            ModelUnavailableError: it may not be read.
        """
        models_dir = self._models_dir
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

    def demo(self, reason: str = "") -> ModelFiles:
        """The demo model, with the warning that belongs to it and why it is used.

        Raises:
            ModelUnavailableError: it is not part of this install.
        """
        if (problem := folder_problem(self._demo_folder)) is not None:
            raise ModelUnavailableError(f"The demo model is not part of this install. {problem}")
        warning = TranscriptWarning(WarningCode.DEMO_MODEL, f"{_DEMO_WARNING} {reason}".rstrip())
        return ModelFiles(DEMO_NAME, self._demo_folder, "bundled", True, (warning,))

    def _unknown(self, name: str) -> ModelNotFoundError:
        names = {DEMO_NAME, *DEFAULT_ALIASES, *(folder.name for folder in self.own_folders())}
        for model in KNOWN_MODELS:
            names |= {model.name, *model.aliases}
        close = difflib.get_close_matches(name[:_LONGEST_NAME_SHOWN].lower(), sorted(names), n=3)
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        return ModelNotFoundError(
            f'No model is called "{name[:_LONGEST_NAME_SHOWN]}".{guess} '
            "`verbatim models list` shows those there are.",
            param="model",
        )

    def not_installed(self, absent: AbsentModel) -> ModelNotFoundError:
        """The error for a model that is not here, with the way to get it."""
        if not absent.known:
            return ModelNotFoundError(
                f"{absent.name} is not on this machine. Whoever runs it can fetch it with "
                f"`verbatim models pull {absent.name}`.",
                param="model",
            )
        way = (
            f"copy its folder to MODELS_DIR/{absent.name} (VERBATIM_MODELS_DIR), or unset "
            "VERBATIM_OFFLINE and HF_HUB_OFFLINE"
            if self._offline
            else f"run `verbatim models pull {absent.name}`"
        )
        return ModelNotInstalledError(
            f"The model {absent.name} is not on this machine. To get it, {way}.", param="model"
        )


def _is_folder_name(name: str) -> bool:
    """Whether it is one part of a path, and not a hidden one."""
    short = len(name.encode(errors="replace")) <= _LONGEST_FOLDER_NAME_BYTES
    return short and _FOLDER_NAME.fullmatch(name) is not None
