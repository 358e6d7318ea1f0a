"""tile: plan, train, compare and export networks that run on tiles"""
