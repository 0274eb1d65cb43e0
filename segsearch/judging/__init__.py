"""What to make of a study's rows: fronts, knees, picks, comparisons, and their words and tables."""
