"""blockwise: train networks block by block, and measure how strongly their blocks are coupled"""
