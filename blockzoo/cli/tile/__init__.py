"""tile: train, fine-tune and evaluate networks on tiles, and compare ways to cut them"""
