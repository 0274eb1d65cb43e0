"""How time is taken: a quiet process, a reference in turn, a machine with a name."""
