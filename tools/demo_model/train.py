"""Train the demo model on a folder of shards (see render.py and digits.py), on a CPU.

    python train.py SHARDS_DIR --held-out HELD_OUT.npz --out demo.pt --minutes 100 [--start OLD.pt]

Shards that appear in the folder meanwhile are used too. The loss is the tokens' cross-entropy, plus
how badly the encoder alone tells which token is being said, plus, for a few cross-attention heads,
how far they look past the sound that belongs to each token. The last two need word times; they make
the alignment appear early, and the model's own word times exact.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing
import torch.nn.functional as F  # noqa: N812
from batches import FRAMES_PER_POSITION, IGNORE, Batch, BatchMaker, LogMel, by_language
from model import Dimensions, Whisper
from neighbours import fit_neighbours, neighbour_loss, sample_positions, watch_neighbours
from scoring import ErrorRate, greedy
from speech import PUNCTUATION, RATE_HZ, load_shard
from tokens import EOT, LANGUAGE, NO_TIMESTAMPS, SOT, TIME0, TOKENIZER, VOCABULARY, used_tokens
from torch import Tensor, nn
from windows import FULL_S, without_times

NEAR_TIMES: Final = (0.05, 0.15, 0.6, 0.15, 0.05)
"""The share of the wanted probability for a time and those 20 and 40 ms before and after it."""
SILENT_TOKENS: Final = torch.tensor(
    [t for t in range(1000) if not TOKENIZER.decode([t]).strip(PUNCTUATION)]
    + TOKENIZER.encode("。")
)
"""Tokens of text during which nothing is said."""
WEIGHTS: Final = (1.0, 0.5, 0.5, 0.3)
"""Of the losses: tokens, frames, guided heads, neighbours."""
EMA_DECAY: Final = 0.998
PROCESSES: Final = 2
WARM_UP_STEPS: Final = 50
_REPORT_S: Final = 60.0
_EVALUATE_S: Final = 840.0
FIT_WINDOWS: Final = 8
_PORT: Final = "29533"


@dataclass(frozen=True)
class Guided:
    """Cross-attention heads that are taught to look at the token's sound, by decoder layer."""

    heads: tuple[tuple[int, ...], ...]

    def watch(self, model: Whisper) -> None:
        """Have the model keep these heads' attention."""
        for layer, heads in enumerate(self.heads):
            model.decoder[layer].cross_attn.watched = heads


def guide_losses(model: Whisper, spans: Tensor) -> list[Tensor]:
    """Per layer and watched head: cross-entropy of its attention with even attention to the sound.

    spans: (S, 4) of row, query, first and end encoder position. Returns (heads,) for each layer.
    """
    row, query, first, end = spans.unbind(1)
    losses = []
    for layer, block in enumerate(model.decoder):
        if block.cross_attn.watched:
            seen = block.cross_attn.seen.float().log_softmax(-1)
            # the first layer looks at the token it has read, the others at the one they predict
            at = (query + (layer == 0)).clamp(max=seen.shape[2] - 1)
            log = seen[row, :, at]  # (S, heads, T)
            total = F.pad(log.cumsum(-1), (1, 0))
            index = torch.arange(len(row))
            inside = total[index, :, end] - total[index, :, first]
            losses.append(-(inside / (end - first)[:, None]).mean(0))
    return losses


def text_classes(model: Whisper) -> int:
    """How many of the model's token rows are text; these come first."""
    return int((model.used < EOT).sum())


def frame_loss(model: Whisper, head: nn.Linear, memory: Tensor, batch: Batch) -> Tensor:
    """How badly the encoder's output (B, T, D) tells which token is being said, if that is known.

    Between words nothing is said, which is the head's last class.
    """
    row, query, first, end = batch.spans.unbind(1)
    token = batch.targets[row, query]
    kept = token <= EOT
    if not kept.any():
        return memory.new_zeros(())
    row, first, token, size = row[kept], first[kept], token[kept], (end - first)[kept]
    nothing = head.out_features - 1
    silent = (token == EOT) | torch.isin(token, SILENT_TOKENS)
    label = torch.where(silent, nothing, model.row_of[token])
    steps = torch.arange(int(size.sum())) - (size.cumsum(0) - size).repeat_interleave(size)
    sound = memory[batch.source[row].repeat_interleave(size), first.repeat_interleave(size) + steps]
    return F.cross_entropy(head(sound), label.repeat_interleave(size))


def token_loss(model: Whisper, logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of logits (B, L, U + 1) with targets (B, L); a time may be off by a little."""
    learned = targets != IGNORE
    log, wanted = logits[learned].log_softmax(-1), targets[learned]
    loss = -log.gather(1, model.row_of[wanted][:, None])[:, 0]
    timed = wanted >= TIME0
    near = wanted[timed][:, None] + torch.arange(len(NEAR_TIMES)) - len(NEAR_TIMES) // 2
    rows = model.row_of[near.clamp(TIME0, VOCABULARY - 1)]
    soft = -(log[timed].gather(1, rows) * torch.tensor(NEAR_TIMES)).sum(1)
    return (loss[~timed].sum() + soft.sum()) / len(wanted)


def losses(model: Whisper, head: nn.Linear, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The tokens' cross-entropy, the frames', the guided heads' and the neighbours' mean loss."""
    sample_positions(model, batch.mel.shape[2] // FRAMES_PER_POSITION)
    memory = model.encode(batch.mel, batch.offsets)
    logits = model.decode(batch.inputs, memory, batch.source)
    decoding = token_loss(model, logits, batch.targets)
    guide = logits.new_zeros(())
    if len(batch.spans):
        guide = torch.cat(guide_losses(model, batch.spans)).mean()
    return decoding, frame_loss(model, head, memory, batch), guide, neighbour_loss(model)


def load_weights(model: Whisper, head: nn.Linear, path: Path) -> None:
    """Start from a checkpoint, or from bare weights; token rows are matched by token."""
    saved: dict[str, Any] = torch.load(path, map_location="cpu")
    state = saved.get("model", saved)
    rows = {int(t): i for i, t in enumerate(state.pop("used"))}
    for name in ("row_of", "unused_bias"):
        state.pop(name)
    old = state.pop("embedding.weight")
    index = torch.tensor([rows.get(int(t), len(rows)) for t in model.used] + [len(rows)])
    state["embedding.weight"] = old[index] + 0.01 * torch.randn(len(index), old.shape[1]) * (
        index == len(rows)
    ).unsqueeze(1)
    missing, unexpected = model.load_state_dict(state, strict=False)
    new = {name.split(".")[1] for name in missing if name.startswith("decoder.")}
    for i in new:  # a layer that the checkpoint lacks changes nothing at first
        block = model.decoder[int(i)]
        for layer in (block.attn.out, block.cross_attn.out, block.mlp[2]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    known = {"used", "row_of", "unused_bias", "time_projection.weight"}
    if unexpected or {name for name in missing if not name.startswith("decoder.")} - known:
        raise ValueError(f"{path} is of another model: {missing} {unexpected}")
    if "head" in saved:
        head.load_state_dict(saved["head"])


def save(path: Path, model: Whisper, head: nn.Linear) -> None:
    """Write a checkpoint."""
    partial = path.with_suffix(".partial")
    torch.save({"model": model.state_dict(), "head": head.state_dict()}, partial)
    partial.rename(path)


class HeldOut:
    """Error rates on utterances never trained on: alone in 8 s, and as many as fit in 30 s."""

    def __init__(self, path: Path, single: int = 30, full: int = 4) -> None:
        pools = by_language(load_shard(path))
        rng = np.random.default_rng(0)
        log_mel = LogMel()
        self._sets: list[tuple[str, str, Tensor, list[str]]] = []
        for language, pool in pools.items():
            rows: list[tuple[np.ndarray, str]] = []
            for u in pool[:single]:
                if u.duration_s < 8:
                    audio = np.zeros(8 * RATE_HZ, np.float32)
                    audio[: u.pcm.size] = u.pcm / 32768.0
                    rows.append((audio, u.text))
            self._add("8 s", language, rows, log_mel)
            rows, left = [], list(pool)
            while len(rows) < full and left:
                audio, at, texts = np.zeros(30 * RATE_HZ, np.float32), 0, []
                while left and at + left[-1].pcm.size < audio.size:
                    u = left.pop()
                    audio[at : at + u.pcm.size] = u.pcm / 32768.0
                    at += u.pcm.size + int(rng.uniform(0.3, 1.5) * RATE_HZ)
                    texts.append(u.text)
                rows.append((audio, " ".join(texts)))
            self._add("30 s", language, rows, log_mel)

    def _add(
        self, name: str, language: str, rows: list[tuple[np.ndarray, str]], log_mel: LogMel
    ) -> None:
        mel = log_mel(torch.from_numpy(np.stack([audio for audio, _ in rows])))
        self._sets.append((name, language, mel, [text for _, text in rows]))

    def rates(self, model: Whisper) -> dict[str, float]:
        """Error rate by set and language."""
        report = {}
        for name, language, mel, texts in self._sets:
            rate = ErrorRate()
            prompt = [SOT, LANGUAGE[language], TOKENIZER.transcribe, NO_TIMESTAMPS]
            for text, tokens in zip(texts, greedy(model, mel, prompt), strict=True):
                rate.add(text, TOKENIZER.decode(without_times(tokens)).strip(), language)
            report[f"{name} {language}"] = round(rate.rate, 4)
        return report


def _optimizer(model: Whisper, head: nn.Linear, rate: float) -> torch.optim.AdamW:
    parameters = [*model.parameters(), *head.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace gradients by their mean over all processes."""
    kept = [p for p in parameters if p.requires_grad]
    flat = torch.cat(
        [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in kept]
    )
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for p, part in zip(kept, flat.split([p.numel() for p in kept]), strict=True):
        p.grad = part.view_as(p)


class Trainer:
    """One of the processes that train together; the first one reports, evaluates and saves.

    A process per core, of one thread each, is faster than threads on a machine that others use too.
    """

    def __init__(self, args: argparse.Namespace, rank: int) -> None:
        self.args, self.rank = args, rank
        self.model = Whisper(Dimensions(), used_tokens(), VOCABULARY)
        self.head = nn.Linear(self.model.dims.width, text_classes(self.model) + 1)
        if args.start:
            load_weights(self.model, self.head, args.start)
        self.parameters = [*self.model.parameters(), *self.head.parameters()]
        seconds = args.batch_seconds / PROCESSES
        self.batches = BatchMaker(args.shards, seconds, args.seed, rank)
        if args.fit:
            fit_neighbours(self.model, self.batches.make(FULL_S, FIT_WINDOWS).mel)
            for p in self.parameters:  # each process has fitted to sounds of its own
                dist.broadcast(p.data, 0)
        self.optimizer = _optimizer(self.model, self.head, args.rate)
        Guided(tuple(args.heads)).watch(self.model)
        watch_neighbours(self.model)
        self.average = copy.deepcopy(self.model)
        for block in self.average.decoder:
            block.cross_attn.watched = ()
        for block in self.average.encoder:
            block.attn.watched = ()
        self.held_out = HeldOut(args.held_out) if args.held_out and rank == 0 else None
        self.best = math.inf
        self.step = 0

    def learn(self, progress: float) -> tuple[float, ...]:
        """One step; returns its losses."""
        batch = self.batches.next(progress < self.args.warm_up)
        parts = losses(self.model, self.head, batch)
        warm = min(1.0, (self.step + 1) / WARM_UP_STEPS)
        cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.args.rate * warm * (0.98 * cosine + 0.02)
        self.optimizer.zero_grad(set_to_none=True)
        sum(w * part for w, part in zip(WEIGHTS, parts, strict=True)).backward()
        average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            pairs = zip(self.average.parameters(), self.model.parameters(), strict=True)
            for mean, now in pairs:
                mean.lerp_(now, 1 - decay)
        return tuple(part.item() for part in parts)

    def keep(self, name: str) -> None:
        """Save the state, to go on from and to look at."""
        out: Path = self.args.out
        save(out.with_name(f"{out.stem}-{name}.pt"), self.model, self.head)
        save(out.with_name(f"{out.stem}-average.pt"), self.average, self.head)

    def evaluate(self, minutes: float) -> None:
        """Report held-out error rates of the averaged weights, and keep them when they are best."""
        if self.rank != 0:
            return
        self.keep("last")
        if self.held_out is None:
            return
        rates = self.held_out.rates(self.average)
        mean = sum(rates.values()) / len(rates)
        if mean < self.best:
            self.best = mean
            save(self.args.out, self.average, self.head)
        print(f"{minutes:.0f} min held out {rates} mean {mean:.4f}", flush=True)

    def _clock(self, began: float) -> float:
        """Seconds of training so far, the same in every process."""
        now = torch.tensor([time.monotonic() - began], dtype=torch.float64)
        dist.broadcast(now, 0)
        return float(now)

    def run(self) -> None:
        """Train for the given time."""
        limit_s = self.args.minutes * 60
        began = time.monotonic()
        shown = evaluated = 0.0
        recent: list[tuple[float, ...]] = []
        while (elapsed := self._clock(began)) < limit_s:
            recent.append(self.learn(elapsed / limit_s))
            if self.rank == 0 and elapsed - shown > _REPORT_S:
                shown = elapsed
                self.keep("last")
                means = np.mean(recent, axis=0).round(3).tolist()
                print(f"{elapsed / 60:.1f} min step {self.step} losses {means}", flush=True)
                recent = []
            if elapsed - evaluated > _EVALUATE_S:
                self.evaluate(elapsed / 60)
                evaluated = elapsed
        self.evaluate(self.args.minutes)


def _work(rank: int, args: argparse.Namespace) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=_PORT)
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    Trainer(args, rank).run()
    dist.destroy_process_group()


def _heads(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part != "-")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shards", type=Path, help="folder of shards")
    parser.add_argument("--held-out", type=Path, help="a shard made with render.py --held-out")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights or checkpoint to continue from")
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--warm-up", type=float, default=0.04, help="first share, short windows")
    parser.add_argument("--rate", type=float, default=1.2e-3, help="highest learning rate")
    parser.add_argument("--batch-seconds", type=float, default=72, help="audio a step")
    parser.add_argument(
        "--heads", type=_heads, nargs="+", default=[(1, 3), (3, 4), (0, 1), ()],
        help="for each decoder layer the guided cross-attention heads, e.g. 1,3 3,4 0,1 -",
    )  # fmt: skip
    parser.add_argument("--fit", action="store_true", help="first fit heads to their neighbours")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.multiprocessing.spawn(_work, (args,), nprocs=PROCESSES)


if __name__ == "__main__":
    main()
