"""A plan carried out, and compared with the network it was made from."""
