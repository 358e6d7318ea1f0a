"""What an idle ONNX Runtime session does to torch beside it: `python benchmarks/spinning.py`.

Its threads spin while they wait for work, unless they are told not to, as `benchmark --runtimes onnxruntime` tells them. Prints
the median time of a network in torch alone, beside a session that spins, and beside one that does not, in shuffled rounds in
which the session computes before each call of torch. With one core there is nothing to see: the session has no second thread.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path = [
    entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).parent
]  # has a profile.py

import numpy as np
import onnxruntime
import torch
from torch import nn

from blockzoo.core.environment import describe, environment
from blockzoo.core.spec import NetworkSpec
from blockzoo.models.exporting import onnx_program
from blockzoo.models.resolve import build_network

ROUNDS, SIDE = 15, 64


def session(content: bytes, spinning: bool) -> Callable[[], object]:
    """A call of the network by ONNX Runtime with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    ready = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    given = {ready.get_inputs()[0].name: np.zeros((1, 3, SIDE, SIDE), np.float32)}
    return lambda: ready.run(None, given)


def main() -> None:
    torch.set_num_threads(torch.get_num_threads() if torch.get_num_threads() > 1 else 2)
    network: nn.Module = build_network(NetworkSpec("torchvision:resnet18"), seed=0).eval()
    x = torch.zeros(1, 3, SIDE, SIDE)
    content = onnx_program(network, [x]).SerializeToString()
    before = {
        "alone": lambda: None,
        "beside a session that spins": session(content, True),
        "beside one that does not": session(content, False),
    }
    times: dict[str, list[float]] = {name: [] for name in before}
    shuffle, order = random.Random(0), list(before)
    with torch.inference_mode():
        for _ in range(ROUNDS):
            shuffle.shuffle(order)
            for name in order:
                time.sleep(0.1)  # what spun for another is asleep by now
                before[name]()
                begin = time.perf_counter()
                network(x)
                times[name].append(1e3 * (time.perf_counter() - begin))
    alone = statistics.median(times["alone"])
    print(describe(environment(threads=torch.get_num_threads())))
    for name, samples in times.items():
        median = statistics.median(samples)
        print(f"{name}: {median:.1f} ms, {median / alone:.2f} of alone (n = {len(samples)})")


if __name__ == "__main__":
    main()
