"""Networks. Every one has `.blocks`: an ordered, complete partition whose composition is the forward pass."""
