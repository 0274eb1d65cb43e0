"""segsearch: compression and architecture search for semantic segmentation, judged on the file that ships."""

import os

# No telemetry, of ours or of others. ONNX Runtime's is on unless told otherwise before it is imported: a thread beside
# every measurement, files in the user's folder, the network. Whichever room imports it first, this came before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
