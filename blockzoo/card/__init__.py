"""One subject through all lenses, within a time: `blockzoo card`."""
