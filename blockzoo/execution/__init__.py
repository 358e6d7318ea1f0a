"""Where trials run. One executor per file; the results store holds the state, an executor only places work."""
