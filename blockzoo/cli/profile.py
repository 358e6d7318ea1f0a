"""profile: what a block costs on paper: parameters, MACs, bytes"""

from __future__ import annotations

from blockzoo.cli import options as o
from blockzoo.cli import screen
from blockzoo.cli.expanded import expanded
from blockzoo.core.checked import together
from blockzoo.core.settings import Scaffold


@expanded()
def profile(
    subject: o.Subject,
    *,
    position: o.Position = None,
    scaffold: Scaffold,
    out_dim: o.OutDim = None,
    input_shape: o.InputShape = None,
    strict: o.Strict = False,
    plugins: o.Plugins = (),
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> int:
    """Count parameters, MACs and activation bytes of a block in the scaffold, or of any network.

    Whole network and stage under test. Nothing is computed, so it is instant at any size.
    """
    from blockzoo.profile import DEFAULT_SHAPE, HOW_TO_COUNT, profile_block

    shape = input_shape or DEFAULT_SHAPE
    found = profile_block(
        subject, position, out_dim=out_dim, input_shape=shape, strict=strict, **together(scaffold)
    )
    both = [found.network, found.stage]
    rows = [
        ("parameters, deployed", [f"{c.params_total:,}" if c else "-" for c in both]),
        ("  of them trainable", [f"{c.params_trainable:,}" if c else "-" for c in both]),
        ("parameters, trained", [f"{c.params_trained:,}" if c else "-" for c in both]),
        ("MACs (multiply-adds)", [screen.number(c.macs) if c else "-" for c in both]),
        ("FLOPs (2 x MACs)", [screen.number(c.flops) if c else "-" for c in both]),
        ("weights, fp32", [screen.size(c.model_bytes) if c else "-" for c in both]),
        ("peak activations, inference", [screen.size(c.peak_activation_bytes) if c else "-" for c in both]),
        ("kept for backward, training", [screen.size(c.saved_activation_bytes) if c else "-" for c in both]),
    ]
    names = found.network.uncounted_operations
    uncounted = [f"The MACs lack those of {', '.join(names)}: {HOW_TO_COUNT}."] if names else []
    size = " x ".join(map(str, found.input_shape))
    made = screen.table(
        f"{found.subject}, input {size}",
        ["", "network", "stage under test"],
        [(name, *cells) for name, cells in rows],
        "\n".join(("Activations in fp32, the input not counted.", *uncounted, *found.notes)),
    )
    screen.show(made, [found.columns()], format, output)
    return 0
