"""The door for Python: what `import segsearch` offers. Thin words over launch, store, judging, latency and trial."""
