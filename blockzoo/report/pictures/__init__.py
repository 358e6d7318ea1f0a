"""Pictures of results: what is in them is computed in `report`, and drawn here. No torch."""
