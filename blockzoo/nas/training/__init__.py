"""From architectures to networks, and training them: as trials, with a teacher, all at once in a supernet."""
