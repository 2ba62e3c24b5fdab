"""Encoder heads that look at what is near: a start for them, and a loss that keeps them so.

Whisper's encoder knows positions only by what is added to its input, and learns late to look at
neighbours by them, later still at positions that are rarely trained. With these heads given, it
reads sounds far from the window's start as well as those near it.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from model import Attention, Whisper
from torch import Tensor, nn

NEIGHBOURS: Final = (
    ((-6, -1), (-1, 1), (1, 6)),
    ((-8, -2), (-2, 2), (2, 8)),
    ((-12, -3), (3, 12)),
    ((-12, -3), (3, 12)),
)
"""For each encoder layer the offsets, in positions, that its first heads are to look at."""
SAMPLED_POSITIONS: Final = 64
_FIT_STEPS: Final = 1500
_FIT_RATE: Final = 8e-3


def watch_neighbours(model: Whisper) -> None:
    """Have the encoder keep the attention that is to look at what is near."""
    for block, offsets in zip(model.encoder, NEIGHBOURS, strict=True):
        block.attn.watched = tuple(range(len(offsets)))


def sample_positions(model: Whisper, count: int) -> None:
    """Choose the positions, of so many, whose attention is kept in the next step."""
    sampled = torch.randint(count, (SAMPLED_POSITIONS,))
    for block in model.encoder:
        block.attn.queries = sampled


def _outside(log: Tensor, at: Tensor, offsets: tuple[int, int]) -> Tensor:
    """Cross-entropy of log attention (..., S, T) of positions (S,) with even attention nearby."""
    low, high = offsets
    wanted = at[:, None] + torch.arange(low, high + 1)  # (S, offsets)
    inside = (wanted >= 0) & (wanted < log.shape[-1])
    index = wanted.clamp(0, log.shape[-1] - 1).expand(*log.shape[:-1], -1)
    return -log.gather(-1, index)[..., inside].mean()


def neighbour_loss(model: Whisper) -> Tensor:
    """How far the encoder's watched heads look past their neighbours, at the sampled positions."""
    losses = []
    for block, offsets in zip(model.encoder, NEIGHBOURS, strict=True):
        log = block.attn.seen.log_softmax(-1)  # (B, heads, sampled, T)
        losses += [_outside(log[:, i], block.attn.queries, o) for i, o in enumerate(offsets)]
    return torch.stack(losses).mean()


def _fit_head(attention: Attention, head: int, offsets: tuple[int, int], inputs: Tensor) -> None:
    """Fit one head's queries and keys alone to inputs (B, T, D) of its layer."""
    size = inputs.shape[2] // attention.heads
    rows = slice(head * size, (head + 1) * size)
    whole = (attention.query.weight, attention.query.bias, attention.key.weight)
    query, bias, key = (p[rows].detach().clone().requires_grad_() for p in whole)
    optimizer = torch.optim.Adam([query, bias, key], _FIT_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _FIT_RATE, _FIT_STEPS)
    for step in range(_FIT_STEPS):
        x = inputs[step % len(inputs)]
        at = torch.randint(len(x), (SAMPLED_POSITIONS,))
        logits = (x[at] @ query.T + bias) @ (x @ key.T).T / math.sqrt(size)
        optimizer.zero_grad()
        _outside(logits.log_softmax(-1), at, offsets).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        for p, fitted in zip(whole, (query, bias, key), strict=True):
            p[rows] = fitted


def fit_neighbours(model: Whisper, mel: Tensor) -> None:
    """Give the heads their start, layer by layer, on windows mel (B, 80, F); takes a minute."""
    inputs: list[Tensor] = []

    def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs.append(arguments[0].detach())

    for block, offsets in zip(model.encoder, NEIGHBOURS, strict=True):
        inputs.clear()
        hook = block.attn.register_forward_pre_hook(keep)
        with torch.no_grad():
            model.encode(mel)
        hook.remove()
        for head, wanted in enumerate(offsets):
            _fit_head(block.attn, head, wanted, inputs[0])
