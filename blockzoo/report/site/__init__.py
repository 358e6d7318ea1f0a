"""A results folder as a static site: pages that carry their data, styles and scripts, and load nothing."""
