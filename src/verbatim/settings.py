"""Every setting of Verbatim, declared once: name, type, default and help.

A value comes from the first of: a command's flag, a `VERBATIM_*` variable, the TOML file
(`verbatim.toml` in the working directory, or the file that `VERBATIM_CONFIG` names), the default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from verbatim.domain.errors import BadRequestError

ENV_PREFIX = "VERBATIM_"
CONFIG_VARIABLE = "VERBATIM_CONFIG"
DEFAULT_CONFIG_FILE = Path("verbatim.toml")

MIB = 1024 * 1024
HOUR_S = 3600.0


def _split_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "verbatim"


class Settings(BaseSettings):
    """What an operator can set; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="forbid", enable_decoding=False
    )

    # Serving
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    dialects: Annotated[list[str], BeforeValidator(_split_commas)] = Field(
        ["openai_rest"], description="Wire dialects that are switched on."
    )
    cors_origins: Annotated[list[str], BeforeValidator(_split_commas)] = Field(
        [], description="Browser origins that may call the API; none by default."
    )
    drain_s: float = Field(
        30.0, ge=0, description="On SIGTERM, seconds that running requests get to finish."
    )

    # Model and device
    model: str = Field(
        "auto",
        description="Default model: a name (tiny … large-v3, turbo), a hub name or a folder; "
        "auto chooses by hardware, and takes the demo model where none can be had.",
    )
    preload: bool = Field(True, description="Load the default model at start, not at first use.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where models run.")
    device_indexes: Annotated[list[int], BeforeValidator(_split_commas)] = Field(
        [0], description="Which GPUs to use, by index."
    )
    compute_type: Literal[
        "auto",
        "float32",
        "float16",
        "bfloat16",
        "int8",
        "int8_float32",
        "int8_float16",
        "int8_bfloat16",
    ] = Field("auto", description="Number format of the weights; auto chooses by hardware.")
    cpu_threads: int = Field(0, ge=0, description="Threads of an inference on the CPU; 0: all.")
    batch_size: int = Field(0, ge=0, description="Windows decoded at once; 0 chooses by hardware.")

    # Models on disk
    data_dir: Path = Field(
        default_factory=_default_data_dir, description="Where Verbatim keeps what it must not lose."
    )
    models_dir: Path | None = Field(
        None, description="A folder of models to look in first: MODELS_DIR/NAME/model.bin."
    )
    offline: bool = Field(False, description="Never touch the network, even to look for models.")

    # Limits
    max_upload_bytes: int = Field(
        2048 * MIB, gt=0, description="Largest upload that is accepted, bytes."
    )
    max_audio_s: float = Field(
        12 * HOUR_S, gt=0, description="Longest audio accepted, in seconds of decoded sound."
    )
    spool_dir: Path | None = Field(
        None, description="Where uploads wait on disk; the system's temporary folder if not set."
    )
    max_running: int = Field(
        4, gt=0, description="Transcriptions that run at the same time; others wait."
    )
    max_waiting: int = Field(
        64, ge=0, description="Transcriptions that may wait; more are told to come back (429)."
    )

    # Logs
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important message that is logged."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, JSON otherwise."
    )
    log_file: Path | None = Field(None, description="Log to this file instead of standard error.")
    log_file_bytes: int = Field(
        10 * MIB, gt=0, description="Size at which the log file is rotated."
    )
    log_files: int = Field(5, ge=1, description="How many log files are kept.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then the environment, then the TOML file."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_file())


def config_file() -> Path:
    """The TOML file that is read, whether it exists or not."""
    return Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG_FILE)


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings; `flags` holds what the command line said, None meaning not said.

    Raises:
        BadRequestError: a value that does not fit, or an unknown name in the TOML file.
    """
    if (named := os.environ.get(CONFIG_VARIABLE)) and not Path(named).is_file():
        raise BadRequestError(f"{CONFIG_VARIABLE} names a file that does not exist: {named}")
    try:
        return Settings(**{k: v for k, v in (flags or {}).items() if v is not None})
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BadRequestError("These settings do not fit: " + "; ".join(lines)) from error
