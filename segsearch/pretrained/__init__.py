"""Weights that others trained: files of known networks become networks of ours, and candidates inherit from these."""
