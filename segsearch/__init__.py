"""segsearch: compression and architecture search for semantic segmentation, judged on the file that ships."""

__version__ = "0.1.0"
