"""What `[teacher]` of a study says: whose logits teach, and how much better than its students it must be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from segsearch.settings.passwords import demand_no_password
from segsearch.settings.train import Positive, Settings

# A teacher must be so much better than its students, in mIoU: one of their own kind only repeats what they know.
BETTER_BY = 0.03
FILES = (".onnx", ".safetensors")
# Who may teach: a design of the space, one of the study's first designs, a network of the field, a trial, a file.
FORMS = ("choices", "first", "reference", "trial", "file")


def extra_images(batch: int, share: float) -> int:
    """How many images without labels come on top of a batch of so many with them, at least one."""
    return max(1, round(batch * share / (1 - share)))


class TeacherSettings(Settings):
    """`[teacher]`: who teaches, in one of five ways.

    `choices` (the space's parameters by name) and `reference` (a network of the field by its name) are trained for
    `epochs`. `first` is one of the study's first designs, counted from 0: its training is that of its trial. `trial` is
    a stored one, with its weights: of `database` (its `study`, where it holds several), or of another `study` in the
    run's own database. `file` is an ONNX file that answers scores, or a teacher that a run has kept (.safetensors).

    Candidates are offered a teacher only while it is not known to be less than `better_by` above the best of the first
    designs (mIoU on the validation split); 0 always offers it. Of the images that a taught candidate sees once the
    teacher speaks, `unlabelled_share` are of `data.unlabelled`: they come on top of the batch.
    """

    epochs: Positive | None = None
    choices: Mapping[str, str | int | float] | None = None
    first: Annotated[int, Field(ge=0)] | None = None
    reference: str | None = None
    trial: Annotated[int, Field(ge=0)] | None = None
    database: Annotated[str, StringConstraints(min_length=1)] | None = None
    study: str | None = None
    file: str | None = None
    better_by: Annotated[float, Field(ge=0, lt=1)] = BETTER_BY
    unlabelled_share: Annotated[float, Field(gt=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _one_teacher(self) -> TeacherSettings:
        said = [form for form in FORMS if getattr(self, form) is not None]
        if len(said) != 1:
            found = " and ".join(said) or "none of them"
            raise ValueError(f"exactly one of {', '.join(FORMS)} says who teaches, got {found}")
        trained = self.choices is not None or self.reference is not None
        if trained and self.epochs is None:
            raise ValueError(f"epochs must say how long the teacher of {said[0]} is trained, got none; add it")
        if not trained and self.epochs is not None:
            raise ValueError(f"epochs are of a teacher that is trained, and {said[0]} names one that is; leave it out")
        return self

    @model_validator(mode="after")
    def _where_a_trial_lies(self) -> TeacherSettings:
        if self.trial is None and (self.database is not None or self.study is not None):
            raise ValueError("database and study say where a trial lies, and no trial is named; add trial = NUMBER")
        if self.trial is not None and self.database is None and self.study is None:
            raise ValueError(
                f"trial = {self.trial} must say whose it is: add database = FILE, or study = NAME for another study of "
                "the run's own database; first = NUMBER is a design of this one"
            )
        if self.database is not None:
            demand_no_password(self.database, key="database")
        if self.file is not None and PurePath(self.file).suffix.lower() not in FILES:
            raise ValueError(f"file must end in {' or '.join(FILES)}, got {self.file!r}")
        return self

    @property
    def is_given(self) -> bool:
        """Whether it was trained elsewhere: a trial, or a file."""
        return self.trial is not None or self.file is not None

    @property
    def words(self) -> str:
        """Who it is, as a person says it."""
        if self.choices is not None:
            return f"a design of the space, {self.epochs} epochs"
        if self.reference is not None:
            return f"{self.reference}, {self.epochs} epochs"
        if self.first is not None:
            return f"first design {self.first}"
        if self.file is not None:
            return self.file
        of = " of ".join(filter(None, (self.study, self.database)))
        return f"trial {self.trial} of {of}"
