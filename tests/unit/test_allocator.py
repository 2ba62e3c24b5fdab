"""Large pages are asked for, and what the user chose stands."""

from __future__ import annotations

import pytest

from verbatim.engine.allocator import with_large_pages

NAME = "GLIBC_TUNABLES"


def test_large_pages_are_asked_for() -> None:
    assert with_large_pages({"PATH": "x"}) == {"PATH": "x", NAME: "glibc.malloc.hugetlb=1"}


def test_other_choices_stand_beside_it() -> None:
    given = {NAME: "glibc.malloc.arena_max=2"}
    asked = "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"
    assert with_large_pages(given) == {NAME: asked}
    assert given == {NAME: "glibc.malloc.arena_max=2"}


@pytest.mark.parametrize("value", ["0", "2"])
def test_the_users_own_choice_stands(value: str) -> None:
    given = {NAME: f"glibc.malloc.hugetlb={value}"}
    assert with_large_pages(given) == given
