"""Where settings come from, which source wins, and what a bad one says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from verbatim.cli.main import app
from verbatim.cli.settings import markdown
from verbatim.domain.errors import BadRequestError
from verbatim.settings import (
    CONFIG_VARIABLE,
    Settings,
    SettingSource,
    explain,
    flag,
    load_settings,
    unknown_variables,
    variable,
)

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def source_of(name: str, **flags: object) -> SettingSource:
    return next(setting for setting in explain(flags) if setting.name == name)


def test_the_default(tmp_path: Path) -> None:
    port = source_of("port")
    assert (port.value, port.source, port.where) == (8000, "default", "")
    assert port.help == "Port to listen on; 0 takes a free one."


def test_each_source_wins_over_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verbatim.toml").write_text("port = 1\n")
    assert (source_of("port").value, source_of("port").where) == (1, "verbatim.toml")
    assert source_of("port").source == "file"
    monkeypatch.setenv("VERBATIM_PORT", "2")
    assert (source_of("port").value, source_of("port").where) == (2, "VERBATIM_PORT")
    assert source_of("port").source == "environment"
    told = source_of("port", port="3")
    assert (told.value, told.source, told.where) == (3, "flag", "--port")
    assert load_settings({"port": "3"}).port == 3


def test_a_flag_that_was_not_given_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_PORT", "2")
    assert source_of("port", port=None).value == 2


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_MODELS_DIR", "")
    monkeypatch.setenv("VERBATIM_PORT", "")
    assert source_of("models_dir").value is None
    assert source_of("port").source == "default"


def test_lists_come_with_commas_or_as_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "verbatim.toml").write_text(
        'device_indexes = [2, 3]\ncors_origins = "https://A.example/, http://b:81"\n'
    )
    assert load_settings().device_indexes == [2, 3]
    assert load_settings().cors_origins == ["https://a.example", "http://b:81"]
    monkeypatch.setenv("VERBATIM_DEVICE_INDEXES", "0, 1")
    assert load_settings().device_indexes == [0, 1]


@pytest.mark.parametrize("origin", ["example.org", "https://", "https://a/page", "//a", "a b"])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    with pytest.raises(BadRequestError, match="is no origin"):
        load_settings({"cors_origins": [origin]})


@pytest.mark.parametrize("name", ["https://a.example", "a.example:80", "a/b", "", "."])
def test_what_is_no_name_of_a_server_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="no name of a server"):
        load_settings({"allowed_hosts": [name]})


def test_the_home_folder_can_be_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_MODELS_DIR", "~/models")
    assert load_settings().models_dir == Path.home() / "models"


def test_another_file_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.toml").write_text("port = 1\n")
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "other.toml"))
    assert load_settings().port == 1
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "missing.toml"))
    with pytest.raises(BadRequestError, match=r"does not exist: .*missing\.toml"):
        load_settings()


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("prot = 1", r"prot: there is no such setting \(from verbatim.toml\)"),
        ("port = 99999", r"port: .*65535 \(from verbatim.toml\)"),
        ("port = ", "verbatim.toml cannot be read"),
        ("port = '\xff'", "verbatim.toml cannot be read"),
        ("device = 'gpu'", "device: .*'auto', 'cpu' or 'cuda'"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, toml: str, words: str) -> None:
    (tmp_path / "verbatim.toml").write_text(toml, encoding="latin-1")
    with pytest.raises(BadRequestError, match=words):
        load_settings()


def test_a_bad_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_PORT", "eighty")
    with pytest.raises(BadRequestError, match=r"port: .*integer.*\(from VERBATIM_PORT\)"):
        load_settings()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("gpu-1:8799", "backend_url.*'gpu-1:8799' is no http:// or https:// address"),
        ("http://me:secret@gpu-1", "backend_url.*would be seen in logs; set backend_api_key"),
    ],
)
def test_addresses_of_back_ends_are_checked(
    monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("VERBATIM_BACKEND_URL", url)
    with pytest.raises(BadRequestError, match=words) as caught:
        load_settings()
    assert "secret@" not in caught.value.message


def test_misspelt_variables_are_noticed() -> None:
    environment = {"VERBATIM_PROT": "1", "VERBATIM_PORT": "1", CONFIG_VARIABLE: "x", "PATH": "y"}
    assert unknown_variables(environment) == ("VERBATIM_PROT",)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_does(name: str) -> None:
    description = Settings.model_fields[name].description
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_a_flag_of_the_server(name: str) -> None:
    shown = CliRunner().invoke(app, ["serve", "--help"]).output
    assert f"{flag(name)} " in shown


def test_the_documentation_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME")
    assert PAGE.read_text(encoding="utf-8") == markdown(), (
        "run `verbatim settings --markdown > docs/settings.md`"
    )
    assert all(variable(name) in markdown() for name in Settings.model_fields)


def test_settings_are_printed_with_their_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_PORT", "81")
    monkeypatch.setenv("VERBATIM_PROT", "82")
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 0
    assert "port = 81  (VERBATIM_PORT)" in result.stdout
    assert 'host = "127.0.0.1"  (default)' in result.stdout
    assert "VERBATIM_PROT is set, and there is no such setting" in result.stderr
    assert "Did you mean VERBATIM_PORT?" in result.stderr
    listed = json.loads(CliRunner().invoke(app, ["settings", "--json"]).stdout)
    assert [setting["name"] for setting in listed] == list(Settings.model_fields)
    port = next(setting for setting in listed if setting["name"] == "port")
    assert port["value"] == 81
    assert port["source"] == "environment"


def test_bad_settings_are_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERBATIM_PORT", "eighty")
    result = CliRunner().invoke(app, ["settings"])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: These settings do not fit: port:")


def test_a_user_without_a_name_has_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: Path) -> Path:
        if path.parts[:1] == ("~",):
            raise RuntimeError("Could not determine home directory.")
        return path

    for name in ("HOME", "XDG_DATA_HOME", "VERBATIM_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "expanduser", nobody)
    assert Settings().data_dir == Path("/.local/share/verbatim")
    monkeypatch.setenv("VERBATIM_DATA_DIR", "~/data")
    with pytest.raises(ValidationError, match="no home folder"):
        Settings()
