"""What everything stands on: subjects, specs, registries, records and the store. No torch in here."""
