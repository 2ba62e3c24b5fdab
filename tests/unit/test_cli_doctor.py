"""`verbatim doctor`: each check with something amiss, and all of them on this machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from tests.support.fake_hub import running_hub, write_model
from typer.testing import CliRunner

from verbatim.cli import doctor_checks
from verbatim.cli.doctor_checks import (
    CHECKS,
    Patient,
    check_decoding,
    check_encoders,
    check_hub,
    check_model,
    check_model_folders,
    check_packages,
    check_port,
    check_processor,
    check_spool,
)
from verbatim.cli.main import app
from verbatim.engine.catalog import Catalog
from verbatim.engine.encoder_choice import EncoderMeasurement, RememberedMeasurements
from verbatim.engine.hardware import Hardware
from verbatim.engine.hub import HubClient, HubConfig
from verbatim.settings import load_settings


def patient_with(
    tmp_path: Path,
    hardware: Hardware | None = None,
    endpoint: str = "http://hub.invalid",
    *,
    offline: bool = True,
    **settings: object,
) -> Patient:
    values = load_settings(settings)
    hub = HubClient(HubConfig(tmp_path / "cache", endpoint, offline=offline))
    machine = hardware or Hardware("Fast", ("avx2",), 4, 8_000_000_000)
    return Patient(values, Catalog(values, hub, lambda: machine), hub, machine)


def test_a_processor_without_avx2_is_slow(tmp_path: Path) -> None:
    assert check_processor(patient_with(tmp_path)).state == "ok"
    old = Hardware("Old", (), 1, 8_000_000_000)
    finding = check_processor(patient_with(tmp_path, old))
    assert (finding.state, finding.summary) == (
        "warning",
        "Old: 1 core, 8.0 GB memory, no special instructions known",
    )


def test_a_package_that_does_not_load_is_fatal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = patient_with(tmp_path)
    assert check_packages(patient).state == "ok"
    monkeypatch.setitem(doctor_checks.PACKAGES, "no_such_module_here", "no-such-package")
    finding = check_packages(patient)
    assert finding.state == "failed"
    assert "no-such-package" in finding.summary
    result = CliRunner().invoke(app, ["doctor", "--offline"])
    assert result.exit_code == 1
    assert "✗ packages" in result.stdout


def test_which_model_would_be_used(tmp_path: Path) -> None:
    finding = check_model(patient_with(tmp_path))
    assert (finding.state, finding.summary) == ("warning", "verbatim-demo (bundled)")
    assert "verbatim models pull small" in finding.advice
    write_model(tmp_path / "models" / "small")
    finding = check_model(patient_with(tmp_path, models_dir=tmp_path / "models"))
    assert (finding.state, finding.summary) == ("ok", f"small in {tmp_path / 'models' / 'small'}")
    finding = check_model(patient_with(tmp_path, model="medium"))
    assert finding.state == "failed"
    assert "MODELS_DIR/medium" in finding.advice


def test_model_folders(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "small")
    finding = check_model_folders(patient_with(tmp_path, models_dir=tmp_path / "models"))
    assert (finding.state, finding.summary.startswith("1 installed")) == ("ok", True)
    finding = check_model_folders(patient_with(tmp_path, models_dir=tmp_path / "none"))
    assert "make it, or change VERBATIM_MODELS_DIR" in finding.advice
    (tmp_path / "cache").write_text("where a folder should be")
    finding = check_model_folders(patient_with(tmp_path))
    assert "Set HF_HOME" in finding.advice


def test_the_hub(tmp_path: Path) -> None:
    assert "switched off" in check_hub(patient_with(tmp_path)).summary
    with running_hub() as hub:
        finding = check_hub(patient_with(tmp_path, endpoint=hub.endpoint, offline=False))
        assert (finding.state, "answers in" in finding.summary) == ("ok", True)
        endpoint = hub.endpoint
    finding = check_hub(patient_with(tmp_path, endpoint=endpoint, offline=False))
    assert finding.state == "warning"
    assert "cannot be reached" in finding.summary
    assert "VERBATIM_MODELS_DIR" in finding.advice


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert check_port(patient_with(tmp_path, port=port)).state == "warning"
    assert check_port(patient_with(tmp_path, port=port)).state == "ok"
    assert check_port(patient_with(tmp_path, host="192.0.2.1")).state == "warning"


def test_the_spool(tmp_path: Path) -> None:
    assert check_spool(patient_with(tmp_path, spool_dir=tmp_path)).state == "ok"
    finding = check_spool(patient_with(tmp_path, spool_dir=tmp_path, max_upload_bytes=10**18))
    assert "less than" in finding.advice
    (tmp_path / "file").write_text("")
    finding = check_spool(patient_with(tmp_path, spool_dir=tmp_path / "file"))
    assert "Set VERBATIM_SPOOL_DIR" in finding.advice


def test_which_encoder_was_found_fastest(tmp_path: Path) -> None:
    patient = patient_with(tmp_path, data_dir=tmp_path)
    assert "when a model is first loaded" in check_encoders(patient).summary
    times = {"ctranslate2": 480.0, "openvino-float32": 310.4}
    errors = {"ctranslate2": 0.01, "openvino-float32": 0.0}
    measured = EncoderMeasurement("tiny", times, errors, {"openvino-int8": "no such instruction"})
    RememberedMeasurements(tmp_path).keep("key", measured)
    assert check_encoders(patient).summary == (
        "tiny: openvino-float32, 310 ms of a core for 30 s (ctranslate2 480); "
        "openvino-int8 fails: no such instruction"
    )
    chosen = patient_with(tmp_path, data_dir=tmp_path, encoder="ctranslate2")
    assert check_encoders(chosen).summary == "ctranslate2, as set"


def test_common_formats_can_be_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_decoding(patient_with(tmp_path)).state == "ok"
    monkeypatch.setattr(doctor_checks, "CODECS", ("mp3", "no_such_codec"))
    finding = check_decoding(patient_with(tmp_path))
    assert (finding.state, finding.summary) == ("warning", "missing: no_such_codec")


def test_this_machine_can_transcribe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["doctor", "--offline", "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["can_transcribe"] is True
    assert len(report["checks"]) == len(CHECKS)
    (heard,) = (check for check in report["checks"] if check["name"] == "transcription")
    assert "London" in heard["summary"]
