"""tile: plan, train, compare and export networks that run on tiles

Examples:
    blockzoo tile plan model:resnet8_half --image-size 64 --budget 64KiB
    blockzoo tile export model:resnet8_half --image-size 64 --output network.onnx
"""
