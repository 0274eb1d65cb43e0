"""Where a setting names a database: a password would be kept with the study."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@|[?&](ssl)?password=[^&]*")


def demand_no_password(where: str, *, key: str) -> None:
    """Raise `ValueError` for a database URL that holds a password. What it is, is not repeated."""
    if _PASSWORD.search(where):
        raise ValueError(
            f"{key} must hold no password, got one: a password would be kept with the study; set PGPASSWORD, or write "
            "~/.pgpass"
        )
