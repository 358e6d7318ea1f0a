"""The zoo: one family of blocks per file, all built by `Block(in_channels, out_channels, stride, position)`.

A default block is configured as its paper has it, alike at every position. `NAME@published` is the
configuration behind tables published earlier, kept so that they can be reproduced.
"""
