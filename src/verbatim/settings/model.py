"""Every setting, declared once: name, type, default and help."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from verbatim.domain.addresses import checked_name, checked_origin, checked_url
from verbatim.older_servers import LikeName
from verbatim.settings.home import expanded, home_folder
from verbatim.settings.sources import ENV_PREFIX, OlderVariables, Profile, config_file

MIB = 1024 * 1024
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
MAX_AGE_S = 36_500 * DAY_S


def _split_commas(value: object) -> object:
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


Url: TypeAlias = Annotated[str, AfterValidator(checked_url)]
Origin: TypeAlias = Annotated[str, AfterValidator(checked_origin)]
HostName: TypeAlias = Annotated[str, AfterValidator(checked_name)]
UserPath: TypeAlias = Annotated[Path, AfterValidator(expanded)]


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or home_folder() / ".local" / "share"
    return Path(base) / "verbatim"


class Settings(BaseSettings):
    """What an operator can set; frozen once read."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        enable_decoding=False,
    )

    # Serving
    like: LikeName = Field(
        "verbatim",
        description="An older server to take the place of: its port, limits and defaults hold "
        "where nothing else is said.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    tls_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for HTTPS and WSS, beside port; the same as port encrypts that one; 0 "
        "takes a free one. Needs tls_cert.",
    )
    tls_cert: UserPath | None = Field(
        None,
        description="Certificate, PEM, for tls_port; without tls_port, port itself is encrypted. "
        "`verbatim cert` makes one.",
    )
    tls_key: UserPath | None = Field(
        None, description="The certificate's private key, PEM, if it is not in the same file."
    )
    dialects: Annotated[list[str], BeforeValidator(_split_commas)] = Field(
        [
            "openai_rest",
            "openai_realtime",
            "deepgram",
            "native_keys",
            "native_live",
            "native_server",
            "native_transcripts",
            "fastwhisper",
            "voxscribe",
            "microservice",
            "zhtw",
        ],
        description="Wire dialects that are switched on.",
    )
    cors_origins: Annotated[list[Origin], BeforeValidator(_split_commas)] = Field(
        [],
        description="Origins, such as https://example.org, whose pages in browsers may call the "
        "API; none by default. `*`, all, needs keys, or no_auth.",
    )
    allowed_hosts: Annotated[list[HostName], BeforeValidator(_split_commas)] = Field(
        [],
        description="Names that this server may be called by, besides IP addresses and names that "
        "only local networks have; `*`: any. If not set, names matter only on loopback where "
        "nobody needs a key.",
    )
    drain_s: float = Field(
        30.0, ge=0, description="On SIGTERM, seconds that running requests get to finish."
    )

    # Keys
    auth: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Whether callers need a key. auto: on every address but loopback, and "
        "wherever api_key is set. off is refused on other addresses unless no_auth says so too.",
    )
    no_auth: bool = Field(
        False, description="Serve everybody without a key, also callers on other machines."
    )
    api_key: SecretStr | None = Field(
        None,
        min_length=1,
        description="A key of your own choice that allows to transcribe files and live audio, "
        "besides those of `verbatim keys`.",
    )
    admin_key: SecretStr | None = Field(
        None, min_length=1, description="An administrator's key of your own choice."
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
    cpu_threads: int = Field(0, ge=0, description="Cores that inference on a CPU uses; 0: all.")
    cpu_workers: int = Field(
        0,
        ge=0,
        description="Batches that are decoded at the same time on a CPU, sharing its cores; "
        "0 chooses by their number: each gets one core, where there are many a few.",
    )
    encoder: Literal["auto", "ctranslate2", "openvino"] = Field(
        "auto",
        description="What computes the encoder on a CPU; auto measures once for each model, and "
        "remembers it in data_dir.",
    )
    batch_size: int = Field(0, ge=0, description="Windows decoded at once; 0 chooses by hardware.")
    short_context: bool = Field(
        True,
        description="Encode short audio at a length that fits it instead of at 30 s; what is in "
        "doubt then is done again at 30 s.",
    )
    engine: Literal["process", "local"] = Field(
        "process",
        description="Where the server runs a model: in a process of its own, whose crash costs "
        "no request and whose end frees all memory, or in the server's.",
    )
    max_window_s: float = Field(
        300.0,
        gt=0,
        description="Longest time, in seconds, that a model's process may take for 30 s of audio; "
        "after it the process counts as hung and is replaced.",
    )
    max_process_bytes: int = Field(
        0,
        ge=0,
        description="Memory of a model's process, in bytes, above which it is replaced between "
        "two batches; 0: no limit.",
    )
    spare_process: bool = Field(
        True,
        description="Keep a process ready for each model (about 55 MB), so that another one is "
        "there sooner where a model's process dies.",
    )

    # Back ends
    backend_url: Annotated[list[Url], BeforeValidator(_split_commas)] = Field(
        [],
        description="Servers to which recordings are passed on, Verbatim's or the older zh-TW "
        "service's: http://HOST:PORT, one or several. This server then has no model of its own.",
    )
    backend_api_key: SecretStr | None = Field(
        None, min_length=1, description="The key that is shown to these servers."
    )
    backend_silence_s: float = Field(
        600.0,
        gt=0,
        description="Longest time, in seconds, that such a server may say nothing; Verbatim says "
        "something every 15 s, an older one when it is done.",
    )

    # Models in memory
    keep_alive_s: float = Field(
        0.0,
        ge=0,
        description="Seconds after its last use that a model is unloaded; 0: models stay until "
        "others need their memory.",
    )
    max_models_bytes: int = Field(
        0,
        ge=0,
        description="Main memory that all loaded models may take, in bytes; the least recently "
        "used make room for others; 0: no limit.",
    )

    # Models on disk
    data_dir: UserPath = Field(
        default_factory=_default_data_dir, description="Where Verbatim keeps what it must not lose."
    )
    database_url: SecretStr | None = Field(
        None,
        description="Where keys and results are kept: postgresql://USER:PASSWORD@HOST/DATABASE; "
        "a file in data_dir if not set.",
    )
    models_dir: UserPath | None = Field(
        None, description="A folder of models to look in first: MODELS_DIR/NAME/model.bin."
    )
    offline: bool = Field(False, description="Never touch the network, even to look for models.")

    # Kept results
    cache: bool = Field(
        True,
        description="Keep results, so that who sends a recording again has its text at once.",
    )
    cache_max_bytes: int = Field(
        256 * MIB,
        gt=0,
        description="What all kept results may take, in bytes; the least recently used go first.",
    )
    cache_max_age_s: float = Field(
        7 * DAY_S, gt=0, le=MAX_AGE_S, description="Seconds for which a result is kept."
    )

    # Limits
    max_upload_bytes: int = Field(
        2048 * MIB, gt=0, description="Largest upload that is accepted, bytes."
    )
    upload_idle_s: float = Field(
        30.0, gt=0, description="Longest pause in an upload, in seconds, before it is given up."
    )
    max_upload_s: float = Field(
        3600.0, gt=0, description="Longest time, in seconds, that an upload may take."
    )
    max_audio_s: float = Field(
        12 * HOUR_S, gt=0, description="Longest audio accepted, in seconds of decoded sound."
    )
    spool_dir: UserPath | None = Field(
        None, description="Where uploads wait on disk; the system's temporary folder if not set."
    )
    max_running: int = Field(
        16, gt=0, description="Transcriptions that run at the same time; others wait."
    )
    max_waiting: int = Field(
        240, ge=0, description="Transcriptions that may wait; more are told to come back (429)."
    )

    # Live speech
    max_live_sessions: int = Field(
        64, gt=0, description="Live sessions at the same time; more are told to come back."
    )
    max_connections: int = Field(
        200,
        gt=0,
        description="WebSockets of the older real-time server's clients at the same time; more "
        "are refused.",
    )
    max_utterance_s: float = Field(
        300.0,
        ge=5,
        le=HOUR_S,
        description="Longest stretch of speech without a pause, in seconds, that the older "
        "real-time server's clients get as one text.",
    )
    live_idle_s: float = Field(
        300.0,
        ge=0,
        description="Seconds without any audio after which a live session ends; 0: never.",
    )
    max_live_s: float = Field(
        4 * HOUR_S, ge=0, description="Longest live session, in seconds; 0: no limit."
    )
    max_message_bytes: int = Field(
        100 * MIB, gt=0, description="Longest message on a WebSocket, in bytes."
    )
    live_resume_s: float = Field(
        15.0,
        ge=0,
        description="Seconds that a live session waits for a client whose connection broke; "
        "0: it ends with the connection.",
    )
    debug_audio: UserPath | None = Field(
        None,
        description="Folder for what live sessions hear, one WAV file each, to find faults; "
        "nobody removes them.",
    )

    # Wyoming
    wyoming_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port for Wyoming, the protocol of Home Assistant; 10300 is usual, 0 takes a "
        "free one; off if not set.",
    )
    wyoming_host: str | None = Field(
        None, description="Address that the Wyoming port is on; that of host if not set."
    )
    wyoming_open: bool = Field(
        False,
        description="Serve everybody on the Wyoming port, which knows no keys, also where others "
        "can reach it or callers need a key.",
    )

    # Traces and logs
    traces: bool = Field(
        False,
        description="Send OpenTelemetry traces to where OTEL_EXPORTER_OTLP_ENDPOINT says; needs "
        "verbatim-stt[otel].",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least important message that is logged."
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto", description="auto: text on a terminal, JSON otherwise."
    )
    log_file: UserPath | None = Field(
        None, description="Log to this file instead of standard error."
    )
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
        """Flags, the environment, the TOML file; then the older servers' variables and habits."""
        del dotenv_settings, file_secret_settings
        return (
            init_settings,
            env_settings,
            TomlConfigSettingsSource(settings_cls, config_file()),
            OlderVariables(settings_cls),
            Profile(settings_cls),
        )
