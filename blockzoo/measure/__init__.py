"""One measured quantity per file. On paper: size, memory. On a clock: latency."""
