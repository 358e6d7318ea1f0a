"""Operations that tiles go through, one family in each file: what each reads, what makes a tile of it, what it is in ONNX."""
