"""Local SGD: as many workers as blocks, each with the whole network; after K steps their parameters are averaged.

The baseline that communicates as rarely as block-wise training, but whole networks.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch

from blockzoo.blockwise.contracts import ENGINES, Centre
from blockzoo.blockwise.engines.rounds import Tensors, distance, mean_loss, put, solve
from blockzoo.blockwise.local import make_optimizer
from blockzoo.blockwise.run.frame import BlockState, RoundRecord
from blockzoo.core.seeds import mixed


@ENGINES.register("local-sgd", aliases=("local_sgd",))
class LocalSGD:
    """Worker i draws the batches that block i would; running statistics are averaged like parameters.

    Source: Stich, Local SGD Converges Fast and Communicates Little, ICLR 2019, arXiv:1805.09767.

    Bytes are those of a ring all-reduce: 2 (W - 1) / W networks per worker.
    """

    def __init__(self) -> None:
        self._optimizers: list[torch.optim.Optimizer] = []
        self._saved: list[Any] = []

    def run(self, frame: Centre) -> RoundRecord:
        """One round."""
        parameters, buffers = frame.whole.parameters, list(frame.model.buffers())
        self._prepare(frame, parameters)
        begin = time.perf_counter()
        start = [p.detach().clone() for p in parameters]
        statistics = [b.detach().clone() for b in buffers]
        ended: list[Tensors] = []
        results = []
        for worker, state in enumerate(frame.blocks):
            put(parameters, start)
            put(buffers, statistics)
            frame.model.train()
            torch.manual_seed(mixed(frame.options.seed, frame.round, worker))
            batches = [next(state.stream) for _ in range(state.steps)]
            own = replace(frame.whole, optimizer=self._optimizers[worker], label=state.label)
            results.append(solve(frame, own, batches))
            ended.append([t.detach().clone() for t in [*parameters, *buffers]])
        local = time.perf_counter() - begin
        put([*parameters, *buffers], [_mean(values) for values in zip(*ended, strict=True)])
        size = sum(p.numel() * p.element_size() for p in parameters)
        return RoundRecord(
            number=frame.round,
            train_loss=mean_loss(results),
            movement=[distance(worker[: len(start)], start) for worker in ended],
            staleness=[0] * len(ended),
            gradient_norm=[result.gradient_norm for result in results],
            steps=[result.steps for result in results],
            bytes_communicated=2 * size * (len(ended) - 1),
            seconds={"local": local, "communication": time.perf_counter() - begin - local},
            spent=frame.spent(),
        )

    def _prepare(self, frame: Centre, parameters: list[torch.nn.Parameter]) -> None:
        """One optimiser per worker, all over the same parameters, which are put back between workers."""
        if not self._optimizers:
            for state, name in zip(
                frame.blocks, frame.options.per_block("optimizer", len(frame.blocks)), strict=True
            ):
                self._optimizers.append(
                    make_optimizer(name, parameters, state.optimizer.param_groups[0]["lr"])
                )
            for optimizer, saved in zip(self._optimizers, self._saved, strict=False):
                optimizer.load_state_dict(saved)
        for optimizer, state in zip(self._optimizers, frame.blocks, strict=True):
            optimizer.param_groups[0]["lr"] = state.optimizer.param_groups[0]["lr"]

    def clients(self, frame: Centre) -> list[BlockState]:
        """As many machines as blocks, each with the whole network and an optimiser of its own once it has begun."""
        optimizers = self._optimizers or [frame.whole.optimizer] * len(frame.blocks)
        return [replace(frame.whole, optimizer=optimizer) for optimizer in optimizers]

    def state_dict(self) -> list[Any]:
        """Of the workers' optimisers."""
        return [optimizer.state_dict() for optimizer in self._optimizers]

    def load_state_dict(self, saved: list[Any]) -> None:
        """Taken over in the next round, when the optimisers are made."""
        self._optimizers, self._saved = [], saved


def _mean(values: tuple[torch.Tensor, ...]) -> torch.Tensor:
    return torch.stack(values).mean(0) if values[0].is_floating_point() else values[0]
