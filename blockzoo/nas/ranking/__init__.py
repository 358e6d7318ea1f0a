"""Cheaper ways to order networks than training them: times by addition, early epochs, scores, predictors."""
