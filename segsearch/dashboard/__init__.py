"""The dashboard: a page to see the front, to narrow it, to look at models and to pick one. The only room with Dash."""

from __future__ import annotations
