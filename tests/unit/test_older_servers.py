"""The older servers' variables and habits: what they mean, what wins over them, what is no use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from verbatim.cli.main import app
from verbatim.domain.errors import BadRequestError
from verbatim.older_servers import (
    CUDA_VISIBLE_DEVICES,
    OLDER_VARIABLES,
    PROFILES,
    LikeName,
    OlderVariable,
    read_variables,
)
from verbatim.settings import Settings, SettingSource, explain, load_settings

CORES = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(CUDA_VISIBLE_DEVICES, raising=False)


def source_of(name: str, **flags: object) -> SettingSource:
    return next(setting for setting in explain(flags) if setting.name == name)


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        ({"WHISPER_DEVICE": "auto"}, {"device": "auto"}),
        ({"WHISPER_DEVICE": "CUDA"}, {"device": "cuda"}),
        ({"WHISPER_DEVICE": "gpu"}, {"device": "cuda"}),
        ({"WHISPER_DEVICE": "cuda:1"}, {"device": "cuda", "device_indexes": [1]}),
        ({"WHISPER_DEFAULT_MODEL": "small"}, {"model": "small"}),
        ({"WHISPER_PORT": "9000"}, {"port": 9000}),
        ({"MAX_WORKERS": "3"}, {"max_running": 3, "cpu_workers": 3, "cpu_threads": 0}),
        (
            {"MAX_WORKERS": "3", "TORCH_THREADS": "2"},
            {"max_running": 3, "cpu_workers": 3, "cpu_threads": 6},
        ),
        ({"TORCH_THREADS": "1"}, {"cpu_workers": CORES, "cpu_threads": 0}),
        ({"TORCH_THREADS": str(4 * CORES)}, {"cpu_workers": 1}),
        ({"MAX_WORKERS": "many", "TORCH_THREADS": "1"}, {"cpu_workers": CORES}),
        ({"ENABLE_MODEL_CACHE": "true"}, {"keep_alive_s": 0.0}),
        ({"ENABLE_MODEL_CACHE": "False"}, {"keep_alive_s": 1.0}),
        ({"MAX_FILE_SIZE": "104857600"}, {"max_upload_bytes": 104_857_600}),
        ({"LOG_LEVEL": "INFO"}, {"log_level": "info"}),
        ({"LOG_LEVEL": "warn"}, {"log_level": "warning"}),
        ({"LOG_LEVEL": "CRITICAL"}, {"log_level": "error"}),
        ({"MODEL_SIZE": "large-v3"}, {"model": "large-v3"}),
        ({"MODEL_SIZE": "base.en"}, {"model": "base.en"}),
        ({"MODEL_SIZE": "/models/ours"}, {"model": "/models/ours"}),
        ({"WHISPER_DEFAULT_MODEL": "tiny", "MODEL_SIZE": "base"}, {"model": "tiny"}),
        (
            {"BACKEND_URL": "http://gpu-1:8799, https://gpu-2"},
            {"backend_url": ["http://gpu-1:8799", "https://gpu-2"]},
        ),
        ({CUDA_VISIBLE_DEVICES: "3"}, {"device": "auto", "device_indexes": [0]}),
        ({CUDA_VISIBLE_DEVICES: "2, 3"}, {"device_indexes": [0, 1]}),
        ({CUDA_VISIBLE_DEVICES: "GPU-1f,GPU-2e"}, {"device_indexes": [0, 1]}),
        ({CUDA_VISIBLE_DEVICES: "0,-1,1"}, {"device_indexes": [0]}),
        ({CUDA_VISIBLE_DEVICES: "-1"}, {"device": "cpu"}),
        ({CUDA_VISIBLE_DEVICES: ""}, {"device": "cpu"}),
        ({CUDA_VISIBLE_DEVICES: "", "WHISPER_DEVICE": "cuda"}, {"device": "cuda"}),
    ],
)
def test_what_a_variable_means(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], settings: dict[str, Any]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    loaded = load_settings()
    assert {name: getattr(loaded, name) for name in settings} == settings


def test_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXSCRIBE_API_KEY", "ours alone")
    loaded = load_settings()
    assert loaded.api_key is not None
    assert loaded.api_key.get_secret_value() == "ours alone"
    assert "ours alone" not in CliRunner().invoke(app, ["settings"]).output


@pytest.mark.parametrize("known", OLDER_VARIABLES, ids=lambda known: known.name)
def test_an_empty_variable_counts_as_not_set(known: OlderVariable) -> None:
    if known.name != CUDA_VISIBLE_DEVICES:
        assert not read_variables({known.name: "  "}).values


def test_what_is_said_to_verbatim_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_PORT", "9000")
    told = source_of("port")
    assert (told.value, told.source, told.where) == (9000, "environment", "WHISPER_PORT")
    (tmp_path / "verbatim.toml").write_text("port = 1\n")
    assert source_of("port").where == "verbatim.toml"
    monkeypatch.setenv("VERBATIM_PORT", "2")
    assert source_of("port").where == "VERBATIM_PORT"
    assert source_of("port", port="3").where == "--port"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WHISPER_DEVICE", "tpu", r"^WHISPER_DEVICE: 'tpu' is no device; .*auto, cpu, cuda\.$"),
        ("WHISPER_DEVICE", "cuda:x", "^WHISPER_DEVICE: 'x' is no whole number from 0 on"),
        ("WHISPER_PORT", "eighty", r"port: .*integer.*\(from WHISPER_PORT\)"),
        ("WHISPER_PORT", "99999", r"port: .*65535 \(from WHISPER_PORT\)"),
        ("ENABLE_MODEL_CACHE", "perhaps", "^ENABLE_MODEL_CACHE: 'perhaps' is neither"),
    ],
)
def test_a_bad_value_of_their_own_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadRequestError, match=words):
        load_settings()
    with pytest.raises(BadRequestError, match=words):
        explain()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LOG_LEVEL", "verbose", "'verbose' is no level"),
        ("MAX_WORKERS", "auto", "'auto' is no whole number from 1 on"),
        ("MAX_WORKERS", "0", "'0' is no whole number from 1 on"),
        ("TORCH_THREADS", "-1", "no whole number"),
        ("MAX_FILE_SIZE", "100MB", "'100MB' is no whole number"),
        ("MODEL_SIZE", "7b", "'7b' is no size of Whisper"),
        ("BACKEND_URL", "/api", "'/api' is no http:// or https:// address"),
        ("BACKEND_URL", "http://[", "Invalid IPv6 URL"),
    ],
)
def test_a_common_name_set_by_chance_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    assert load_settings() == Settings()
    (ignored,) = read_variables(os.environ).ignored
    assert ignored.variable == name
    assert words in ignored.reason
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    assert f"warning: {name} is passed over: {ignored.reason}." in result.stderr


@given(
    st.dictionaries(
        st.sampled_from([known.name for known in OLDER_VARIABLES if known.common]),
        st.one_of(st.text(max_size=20), st.from_regex(r"\Ahttps?://.{1,9}\Z")),
    )
)
def test_whatever_common_names_hold_there_are_settings(environment: dict[str, str]) -> None:
    reading = read_variables(environment)
    loaded = Settings.model_validate(reading.values)
    assert loaded.model_fields_set >= set(reading.values)
    assert set(reading.values) == set(reading.variables)
    assert {ignored.variable for ignored in reading.ignored} <= set(environment)


@pytest.mark.parametrize("known", OLDER_VARIABLES, ids=lambda known: known.name)
def test_they_set_what_there_is(known: OlderVariable) -> None:
    assert set(known.settings) <= set(Settings.model_fields)


def test_every_server_has_a_profile_of_settings_that_fit() -> None:
    assert tuple(PROFILES) == get_args(LikeName)
    for values in PROFILES.values():
        assert set(values) <= set(Settings.model_fields)
        assert Settings.model_validate(values).model_fields_set >= set(values)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("local", {"port": 8000}),
        ("voxscribe", {"port": 8000}),
        ("microservice", {"port": 57001, "max_running": 20}),
        (
            "fastwhisper",
            {
                "port": 8765,
                "tls_port": None,
                "max_connections": 200,
                "max_live_sessions": 200,
                "max_running": 15,
                "max_upload_bytes": 104_857_600,
            },
        ),
        ("zhtw", {"port": 8496, "max_upload_bytes": 104_857_600}),
    ],
)
def test_what_each_server_does(name: str, settings: dict[str, object]) -> None:
    loaded = load_settings({"like": name})
    assert {setting: getattr(loaded, setting) for setting in settings} == settings
    assert loaded.host == "127.0.0.1"


def test_the_encrypted_port_is_used_where_there_is_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {"like": "fastwhisper", "tls_cert": "cert.pem"}
    assert load_settings(said).tls_port == 8766
    assert source_of("tls_port", **said).where == "like fastwhisper"
    assert source_of("tls_port", like="fastwhisper").source == "default"
    monkeypatch.setenv("VERBATIM_TLS_PORT", "0")
    assert load_settings(said).tls_port == 0


def test_anything_said_wins_over_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = source_of("port", like="zhtw")
    assert (told.value, told.source, told.where) == (8496, "like", "like zhtw")
    monkeypatch.setenv("WHISPER_PORT", "9000")
    assert source_of("port", like="zhtw").value == 9000
    monkeypatch.delenv("WHISPER_PORT")
    (tmp_path / "verbatim.toml").write_text("port = 1\n")
    assert source_of("port", like="zhtw").value == 1
    assert source_of("port", like="zhtw", port="3").value == 3
    assert source_of("max_upload_bytes", like="zhtw").value == 104_857_600


def test_a_profile_can_be_named_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verbatim.toml").write_text('like = "microservice"\n')
    assert load_settings().port == 57001
    monkeypatch.setenv("VERBATIM_LIKE", "zhtw")
    assert load_settings().port == 8496
    assert load_settings({"like": "verbatim"}).port == 8000


def test_a_server_that_there_is_not() -> None:
    with pytest.raises(BadRequestError, match=r"like: .*'zhtw'.*\(from --like\)"):
        load_settings({"like": "whisperx"})


def test_the_command_shows_a_profile() -> None:
    result = CliRunner().invoke(app, ["settings", "--like", "microservice"])
    assert "port = 57001  (like microservice)" in result.stdout
    assert 'like = "microservice"  (--like)' in result.stdout
    listed = CliRunner().invoke(app, ["settings", "--like", "zhtw", "--json"]).stdout
    port = next(setting for setting in json.loads(listed) if setting["name"] == "port")
    assert (port["value"], port["source"]) == (8496, "like")
