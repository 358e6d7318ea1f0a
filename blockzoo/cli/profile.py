"""profile: what a block costs on paper: parameters, MACs, bytes"""

from __future__ import annotations

from blockzoo.cli import options as o
from blockzoo.cli import screen


def profile(
    subject: o.Subject,
    *,
    position: o.Position = None,
    num_blocks: o.NumBlocks = 3,
    base_channels: o.BaseChannels = 64,
    out_dim: o.OutDim = None,
    filler: o.Filler = None,
    active_blocks: o.ActiveBlocks = None,
    active_width: o.ActiveWidth = 1.0,
    input_shape: o.InputShape = None,
    strict: o.Strict = False,
    plugin: o.Plugin = None,
    format: o.Format = "table",
    output: o.OutputFile = None,
) -> None:
    """Count parameters, MACs and activation bytes of a block in the scaffold, or of any network.

    Whole network and stage under test. Nothing is computed, so it is instant at any size.
    """
    from blockzoo.profile import DEFAULT_SHAPE, HOW_TO_COUNT, profile_block

    found = profile_block(
        subject,
        position,
        num_blocks=num_blocks,
        base_channels=base_channels,
        out_dim=out_dim,
        filler=filler,
        active_blocks=active_blocks,
        active_width=active_width,
        input_shape=input_shape or DEFAULT_SHAPE,
        strict=strict,
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
    shape = " x ".join(map(str, found.input_shape))
    made = screen.table(
        f"{found.subject}, input {shape}",
        ["", "network", "stage under test"],
        [(name, *cells) for name, cells in rows],
        "\n".join(("Activations in fp32, the input not counted.", *uncounted, *found.notes)),
    )
    screen.show(made, [found.columns()], format, output)
