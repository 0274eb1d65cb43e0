"""The words of a space under their first names: databases keep the source of spaces that import them from here."""

from segsearch.space.candidate import *  # noqa: F403
from segsearch.space.candidate import EncoderPath
from segsearch.space.keys import content_key, from_json, to_json

Path = EncoderPath

__all__ = ["Path", "content_key", "from_json", "to_json"]
