"""Quantities of a network: what each is called, how it is shown, how it is measured. Torch is imported where one is measured."""
