"""The benchmark's tables, and their place in a page."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.machine import Machine
from benchmarks.messages import Outcome
from benchmarks.peers import BATCHED, BATCHED_GPU, POOL, SEQUENTIAL, VERBATIM, VERBATIM_GPU
from benchmarks.report import placed, report, table
from benchmarks.results import Result, Row, Run

MACHINE = Machine("A Processor", ("avx2",), 2, 16 << 30, (), "Linux 6, Python 3.11.7", "2026-01-02")
TOKENS = (48, 48)


def row(name: str, *walls_s: float, latencies_s: tuple[float, ...] = ()) -> Row:
    outcomes = tuple(
        Outcome(wall_s, wall_s / 2, TOKENS, latencies_s, processor_s=2 * wall_s)
        for wall_s in walls_s
    )
    return Row(name, outcomes, 1.0, 100_000_000, 20_000_000, {"numpy": "2.0"}, "int8")


def text_of(*results: Result) -> str:
    return report(Run(MACHINE, results))


def line(text: str, start: str) -> list[str]:
    (found,) = [each for each in text.splitlines() if each.startswith(f"| {start}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_file_is_shown_in_multiples_of_real_time() -> None:
    rows = (row(VERBATIM.name, 1.0, 2.0, 2.0), row(SEQUENTIAL.name, 4.0, 6.0, 8.0))
    text = text_of(Result("file", "tiny", 60.0, 48, 2, rows))
    assert "### One recording, the same windows for all (1 minutes)" in text
    assert "**tiny**" in text
    assert line(text, VERBATIM.name) == [
        "Verbatim (int8)",
        "30.0 (30.0 to 60.0)",
        "4.00 (3.00 to 4.00)",
        "2",
        "1000.0",
        "1.00",
        "4.00",
        "100",
        "20",
    ]
    assert line(text, SEQUENTIAL.name)[2] == "1.00"


def test_a_burst_is_shown_with_its_answers() -> None:
    ours = row(VERBATIM.name, 2.0, latencies_s=(0.5, 1.0, 2.0))
    theirs = row(POOL.name, 8.0, latencies_s=(1.0, 4.0, 8.0))
    text = text_of(Result("burst-5s", "base", 80.0, 16, 16, (ours, theirs)))
    assert "(16 of 5 s)" in text
    assert line(text, VERBATIM.name)[1:5] == ["2.00", "4.00", "1.00", "1.00"]


def test_who_is_absent_is_listed_with_the_reason() -> None:
    absent = Row(BATCHED.name, absent="it did other work: 3 windows instead of 2", failed=True)
    rows = (row(VERBATIM.name, 1.0), absent)
    text = text_of(Result("file", "tiny", 60.0, 48, 2, rows))
    assert "- Not measured: faster-whisper, batched: it did other work: 3 windows" in text
    assert line(text, VERBATIM.name)[2] == "?"


def test_the_gpu_is_compared_with_its_bound() -> None:
    rows = (row(VERBATIM_GPU.name, 0.024), row(BATCHED_GPU.name, 0.12))
    text = text_of(Result("gpu", "large-v3", 60.0, 48, 2, rows))
    assert line(text, VERBATIM_GPU.name)[4] == "12.0 (2.0 x the bound)"


def test_the_machine_and_the_versions_are_told() -> None:
    text = text_of(Result("start", "tiny", 0.0, 0, None, (row(VERBATIM.name, 1.0),)))
    assert text.startswith("Measured on 2026-01-02: A Processor, 2 cores (avx2), 16 GiB")
    assert "Versions: numpy 2.0." in text


def test_a_table_is_markdown() -> None:
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


PAGE = "before\n\n<!-- results:cpu -->\nold\n<!-- /results:cpu -->\n\nafter\n"


def test_results_replace_what_stands_between_the_marks() -> None:
    page = placed(PAGE, "cpu", "new \\1 figures\n")
    assert page == (
        "before\n\n<!-- results:cpu -->\n\nnew \\1 figures\n\n<!-- /results:cpu -->\n\nafter\n"
    )
    assert placed(page, "cpu", "new \\1 figures") == page


@pytest.mark.parametrize("page", ["nothing", PAGE + PAGE])
def test_a_page_needs_its_marks_once(page: str) -> None:
    with pytest.raises(ValueError, match="results:cpu"):
        placed(page, "cpu", "new")


def test_the_documentation_has_both_marks() -> None:
    page = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    for name in ("cpu", "gpu"):
        assert "some figures" in placed(page, name, "some figures")


def test_a_run_is_kept_and_read(tmp_path: Path) -> None:
    run = Run(MACHINE).extended(Result("file", "tiny", 60.0, 48, 2, (row(VERBATIM.name, 1.0),)))
    run.save(tmp_path / "kept" / "results.json")
    assert Run.load(tmp_path / "kept" / "results.json") == run


def test_what_is_measured_again_gives_way() -> None:
    def result(scenario: str, model: str, wall_s: float) -> Result:
        return Result(scenario, model, 60.0, 48, 2, (row(VERBATIM.name, wall_s),))

    kept = Run(MACHINE, (result("file", "tiny", 1.0), result("file", "base", 2.0)))
    again = kept.extended(result("file", "tiny", 3.0)).extended(result("long", "tiny", 4.0))
    assert again.results == (
        result("file", "base", 2.0),
        result("file", "tiny", 3.0),
        result("long", "tiny", 4.0),
    )
