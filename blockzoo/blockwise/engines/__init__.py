"""Update engines (a door: one file each). An engine turns a frame by one communication round."""
