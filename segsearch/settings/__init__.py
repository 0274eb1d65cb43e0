"""The tables of a study file that stand on their own: `[data]` and `[train]`."""
