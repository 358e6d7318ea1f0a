"""Predictors: from architectures to a number, fitted to some networks of a space and asked about all others."""
