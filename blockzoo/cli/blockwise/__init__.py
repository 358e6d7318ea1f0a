"""blockwise: train networks block by block, and measure how strongly their blocks are coupled

Examples:
    blockzoo blockwise run --model feedforward --widths "[32,32]" --dataset digits --rounds 20
    blockzoo blockwise sweep study.yaml --dry-run
"""
