"""Networks on tiles trained and compared: recipes, studies, tables, pictures."""
