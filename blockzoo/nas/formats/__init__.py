"""The formats of dataset files: a header in YAML and a payload, one file here per kind of payload."""
