"""The networks of the field, as data: each as its paper gives it, and at a size that a phone runs."""

from segsearch.references.table import REFERENCES, Published, Reference, reference

__all__ = ["REFERENCES", "Published", "Reference", "reference"]
