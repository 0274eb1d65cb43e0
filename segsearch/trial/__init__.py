"""One candidate's life: gate, weights, export, measure, score."""
