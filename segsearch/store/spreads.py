"""How sure a mIoU is, as it is written and read inside a transaction: over images, and over seeds."""

from __future__ import annotations

import base64
from typing import Any

from sqlalchemy import Connection, Select, select

from segsearch.evidence.images import NOT_KEPT, NoSpread, PerImage, Spread
from segsearch.space.keys import from_json, to_json
from segsearch.store import schema
from segsearch.store.clock import stamp
from segsearch.store.put import put
from segsearch.store.rows import ConfirmationRow
from segsearch.store.siblings import trials_with_origin

trials, spreads, confirmations = schema.trials, schema.spreads, schema.confirmations


def put_spread(connection: Connection, study: str, trial: int, images: PerImage) -> None:
    """Write how sure a trial's mIoU is, and the counts that say so, into the caller's transaction."""
    values = spread_columns(images) | {"images": to_json(images)}
    put(connection, spreads, {"study": study, "trial": trial}, values)


def spread_columns(images: PerImage | None) -> dict[str, Any]:
    """How sure the mIoU of these counts is, as the columns that `spread_in` reads."""
    from segsearch.evidence.resample import spread_of  # numpy, which a command that only reads need not load

    found = spread_of(images)
    if isinstance(found, NoSpread):
        return {"low": None, "high": None, "reason": found.reason, "resampled": None}
    resampled = base64.b64encode(found.resampled).decode()
    return {"low": found.low, "high": found.high, "reason": None, "resampled": resampled}


def trials_with_spread() -> Select[Any]:
    """Every trial with its origin and how sure its mIoU is, for `trial_row`; without the counts of each image."""
    same = (spreads.c.study == trials.c.study) & (spreads.c.trial == trials.c.number)
    columns = (spreads.c.low, spreads.c.high, spreads.c.reason, spreads.c.resampled)
    return trials_with_origin().add_columns(*columns).outerjoin(spreads, same)


def spread_in(row: Any) -> Spread | NoSpread:
    """How sure the mIoU of a row is, where its query read that and it was kept."""
    if row.get("resampled") is not None:
        return Spread(row["low"], row["high"], base64.b64decode(row["resampled"]))
    return NoSpread(row["reason"]) if row.get("reason") is not None else NOT_KEPT


def images_of(connection: Connection, study: str, trial: int) -> PerImage | None:
    """The counts of each image of a trial; None where none were kept."""
    where = (spreads.c.study == study, spreads.c.trial == trial)
    text = connection.execute(select(spreads.c.images).where(*where)).scalar_one_or_none()
    return None if text is None else from_json(PerImage, text)


def put_confirmation(
    connection: Connection, study: str, trial: int, seed: int, *, artifact: str, miou: float, images: PerImage | None
) -> None:
    """Write what a trial scored from another seed into the caller's transaction."""
    low, high = over_images(images)
    values = {"miou": miou, "low": low, "high": high, "artifact": artifact, "finished": stamp(connection)}
    put(connection, confirmations, {"study": study, "trial": trial, "seed": seed}, values)


def over_images(images: PerImage | None) -> tuple[float, float] | tuple[None, None]:
    """The ends of a mIoU's interval as a row holds them."""
    from segsearch.evidence.resample import spread_of

    found = spread_of(images)
    return (None, None) if isinstance(found, NoSpread) else (found.low, found.high)


def confirmations_of(connection: Connection, study: str) -> tuple[ConfirmationRow, ...]:
    """What was trained again, by trial and seed."""
    table = confirmations.c
    query = select(confirmations).where(table.study == study).order_by(table.trial, table.seed)
    return tuple(
        ConfirmationRow(
            row.trial,
            row.seed,
            row.miou,
            None if row.low is None else (row.low, row.high),
            row.artifact,
            row.finished,
        )
        for row in connection.execute(query)
    )
