"""Training one network: protocols, the Lightning module, durable checkpoints, one trial from spec to record."""
