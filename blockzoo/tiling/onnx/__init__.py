"""Networks and plans as ONNX files: read, rewritten in tiles, quantised, and compared with what they stand for."""
