"""The words of a space under their first name: databases keep the source of spaces that import them from here."""

from segsearch.space.candidate import *  # noqa: F403
