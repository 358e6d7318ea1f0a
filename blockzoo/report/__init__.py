"""What the results say: statistics, tables and figures. Computing apart from drawing; no torch."""
