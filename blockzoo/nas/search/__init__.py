"""Search algorithms (a door: one file each, `ask` and `tell`), and the simulation that compares them on a benchmark."""
