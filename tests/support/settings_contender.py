"""A contender that tells what Verbatim's settings are in its process."""

from __future__ import annotations

from tests.support.fake_contender import FakeContender

from verbatim.settings import load_settings


def make(model: str, cores: int) -> SettingsContender:
    return SettingsContender({})


class SettingsContender(FakeContender):
    def remark(self) -> str:
        return f"batch_size={load_settings().batch_size}"
