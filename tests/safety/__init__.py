"""What could run code, start a process, or write where it should not: where it stands, and what was tried."""
