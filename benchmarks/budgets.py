"""What the stage under test costs for every block of the zoo, and how near widths and depths come to the reference's cost.

    python benchmarks/budgets.py [--track iso-macs] [--budget 1] [--positions early mid late]

Nothing is timed: the figures are the same on every machine.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # or profile.py beside this file is Python's

from blockzoo.core.budget import Budget
from blockzoo.core.contracts import BLOCKS, POSITIONS
from blockzoo.core.errors import UsageError
from blockzoo.core.spec import NetworkSpec
from blockzoo.measure.budgets import fitted, stage_costs

SHAPE = (1, 3, 32, 32)


def main() -> None:
    """Print a line for each block and position, and how many come within 2 and 5 %."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--track", default="iso-macs", choices=["iso-macs", "iso-params"])
    parser.add_argument("--budget", type=float, default=1.0)
    parser.add_argument("--positions", nargs="+", default=list(POSITIONS), choices=POSITIONS)
    asked = parser.parse_args()
    budget = Budget(asked.track, asked.budget)
    ratios, costs = [], {}
    for name in BLOCKS.names():
        for position in asked.positions:
            network = NetworkSpec(f"{name}/{position}")
            costs[network.subject] = cost = getattr(stage_costs(network, SHAPE), budget.held)
            try:
                made = fitted(network, budget, SHAPE)
            except UsageError as error:
                print(f"{network.subject}: {error}", flush=True)
                continue
            ratios.append(made.budget_ratio or 0.0)
            print(
                f"{network.subject}: {cost:,} as it is; {made.budget_ratio:.4f} of {budget} at {made.active_width:g} times the "
                f"width, {made.active_blocks} blocks",
                flush=True,
            )
    within = {share: sum(abs(ratio - 1) <= share for ratio in ratios) for share in (0.02, 0.05)}
    least, most = min(costs, key=costs.__getitem__), max(costs, key=costs.__getitem__)
    print(f"as they are: from {costs[least]:,} ({least}) to {costs[most]:,} ({most})")
    print(f"{len(ratios)} fitted: {within[0.02]} within 2 %, {within[0.05]} within 5 %")


if __name__ == "__main__":
    main()
