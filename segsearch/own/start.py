"""The network of a study among its artifacts: kept where the study begins, so that it goes on without the file."""

from __future__ import annotations

import shutil
from pathlib import Path

from segsearch.errors import StudyError
from segsearch.own.header import header_of
from segsearch.settings.network import NetworkSettings
from segsearch.workshop import Artifacts, raise_if_full, sha256_of


def keep_network(settings: NetworkSettings, artifacts: Artifacts, *, begun: str | None, classes: int | None) -> str:
    """The artifact of the network that `[network]` means; the one that the study began with where the file is gone.

    Raises `StudyError` where there is none, or where it knows other classes than the data.
    """
    file = Path(settings.file)
    if not file.exists() and begun is not None and artifacts.has(begun):
        return begun
    if file.suffix == ".safetensors":
        header = header_of(file)
        if classes is not None and header.classes != classes:
            raise StudyError(
                f"{file}: {header.name} tells {header.classes} classes apart, and the data set has {classes}; "
                "they must be one. Run `segsearch compress` with this data."
            )
    elif not file.is_file():
        raise StudyError(f"{file}: the network of the study must be there, got no such file; correct network.file.")
    name = f"{sha256_of(file)}{file.suffix}"
    if artifacts.has(name):
        return name
    scratch = artifacts.scratch(file.suffix)
    try:
        shutil.copyfile(file, scratch)
        return artifacts.keep(scratch)
    except OSError as error:
        raise_if_full(error, artifacts.folder)
        raise
    finally:
        scratch.unlink(missing_ok=True)
