"""sweep: a grid of blocks, positions and seeds; alone, with options, it is `sweep run`"""
