"""Which recordings are meant, and what their transcripts are called."""

from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verbatim.cli.inputs import BadInput, Input, expand_inputs
from verbatim.cli.outputs import OutputNames, write_whole
from verbatim.domain.errors import StorageFullError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.mp3", "a.WAV", "notes.txt", "sub/c.m4a", "sub/.hidden.wav", ".git/d.wav"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labels(*arguments: str) -> list[str]:
    return [item.label for item in expand_inputs(arguments)]


@pytest.mark.usefixtures("folder")
def test_files_are_taken_as_they_are_named() -> None:
    assert labels("notes.txt", "sub/c.m4a", "b.mp3") == ["notes.txt", "sub/c.m4a", "b.mp3"]


@pytest.mark.usefixtures("folder")
def test_a_folder_stands_for_the_media_below_it() -> None:
    items = expand_inputs(["."])
    assert [item.label for item in items] == ["a.WAV", "b.mp3", "sub/c.m4a"]
    assert [item.relative for item in items if isinstance(item, Input)] == [
        PurePath("a.WAV"),
        PurePath("b.mp3"),
        PurePath("sub/c.m4a"),
    ]


def test_patterns_that_the_shell_left(folder: Path) -> None:
    assert labels("*.mp3") == ["b.mp3"]
    assert labels("**/*.[mw]*") == ["b.mp3", "sub/c.m4a"]
    assert labels(f"{folder}/s*") == [f"{folder}/sub/c.m4a"]


@pytest.mark.usefixtures("folder")
def test_a_name_with_brackets_is_no_pattern(folder: Path) -> None:
    (folder / "take [1].wav").write_bytes(b"")
    assert labels("take [1].wav") == ["take [1].wav"]


@pytest.mark.usefixtures("folder")
def test_each_recording_is_taken_once() -> None:
    assert labels("b.mp3", ".", "./b.mp3", "*.mp3") == ["b.mp3", "a.WAV", "sub/c.m4a"]


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("missing.wav", "There is no such file."),
        ("*.flac", "No file matches this pattern."),
        (".git", None),
        ("sub/.hidden.wav", None),
    ],
)
def test_what_leads_nowhere_is_said(argument: str, message: str | None) -> None:
    (item,) = expand_inputs([argument])
    if message is None:
        assert isinstance(item, Input)  # hidden things can be named, they are only not looked for
    else:
        assert isinstance(item, BadInput)
        assert item.error.message == message


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    (item,) = expand_inputs([str(tmp_path)])
    assert isinstance(item, BadInput)
    assert "no audio or video files" in item.error.message


def test_standard_input() -> None:
    assert expand_inputs(["-"]) == (Input(None, "stdin", PurePath("stdin")),)


def named(*names: str, base: Path = Path("/recordings")) -> list[Input]:
    return [Input(base / name, name, PurePath(name)) for name in names]


def outputs(items: list[Input], *extensions: str, folder: Path = Path("/out")) -> list[str]:
    names = OutputNames(folder, items)
    paths = [names.next_for(item, extension) for item in items for extension in extensions]
    return [str(path.relative_to(folder)) for path in paths]


def test_an_output_has_the_name_of_its_recording() -> None:
    assert outputs(named("a.mp3", "sub/b.tar.wav"), "txt") == ["a.txt", "sub/b.tar.txt"]


def test_recordings_that_differ_in_their_kind_keep_it() -> None:
    assert outputs(named("a.mp3", "a.wav", "b.wav"), "srt") == ["a.mp3.srt", "a.wav.srt", "b.srt"]


def test_the_same_name_from_two_folders_gets_a_number() -> None:
    items = [*named("a.wav", base=Path("/x")), *named("a.wav", base=Path("/y"))]
    assert outputs(items, "txt") == ["a.wav.txt", "a.wav-2.txt"]


def test_two_formats_with_one_extension_do_not_meet() -> None:
    assert outputs(named("a.wav"), "json", "json") == ["a.json", "a.wav.json"]


def test_a_recording_is_never_written_over() -> None:
    recordings = Path("/recordings")
    assert outputs(named("talk.json"), "json", folder=recordings) == ["talk.json.json"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "a.b", "a.txt", "b", "stdin"]),
            st.sampled_from(["", ".wav", ".txt", ".srt", ".mp3"]),
            st.sampled_from(["", "sub"]),
            st.sampled_from(["/out", "/elsewhere"]),
        ),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    st.lists(st.sampled_from(["txt", "srt", "json"]), min_size=1, max_size=4),
)
def test_outputs_are_distinct_and_none_is_an_input(
    files: list[tuple[str, str, str, str]], extensions: list[str]
) -> None:
    items = []
    for stem, suffix, sub, base in files:
        relative = PurePath(sub) / f"{stem}{suffix}"
        items.append(Input(Path(base) / relative, str(relative), relative))
    folder = Path("/out")
    written = [folder / name for name in outputs(items, *extensions, folder=folder)]
    assert len(set(written)) == len(items) * len(extensions)
    assert not {item.path for item in items} & set(written)
    assert all(path.is_relative_to(folder) for path in written)


def test_a_file_is_written_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_whole(path, "one")
    write_whole(path, "två\n")
    assert path.read_text(encoding="utf-8") == "två\n"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageFullError, match=r"a\.txt cannot be written.*--output-dir"):
        write_whole(tmp_path / "file" / "a.txt", "text")
