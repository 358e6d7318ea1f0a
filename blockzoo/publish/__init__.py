"""Results as others read them: tables, cards and schemas of data sets, and what others hand in."""
