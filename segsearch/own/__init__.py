"""Networks that somebody brought: read once with their sources and weights, kept in one file, made again from it."""
