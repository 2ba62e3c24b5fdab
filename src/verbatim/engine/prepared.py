"""What a process that is kept ready does for a model before anybody asks for it.

Only what takes time and little memory: weights stay where they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verbatim.engine.encoder_choice import CTRANSLATE2
from verbatim.engine.heap import give_back_memory
from verbatim.engine.openvino_encoder import import_openvino
from verbatim.engine.tokenizer import WhisperTokenizer


@dataclass(frozen=True, slots=True)
class Prepared:
    """What loading need not do any more.

    Attributes:
        tokenizer: the model's; None where it is not read yet.
        tried: the model worked on this machine's CPU before, so that nobody there has to wait for
            a trial.
    """

    tokenizer: WhisperTokenizer | None = None
    tried: bool = False


NOTHING_PREPARED: Final = Prepared()


def prepare(folder: Path, encoder: str) -> Prepared:
    """Read a model's tokenizer, and import what its encoder needs. Blocks.

    Args:
        folder: of the model.
        encoder: what encodes, see `EngineDescription.encoder`.
    """
    tokenizer = WhisperTokenizer.load(folder)
    if encoder != CTRANSLATE2:
        import_openvino()
    # Reading a tokenizer takes twice what it keeps.
    give_back_memory()
    return Prepared(tokenizer)
