"""What a source says and how we stand to it: a row of docs/fidelity.md, in literals.

Methods, models and losses have such rows in their `info`, those of training and evaluation are in
`autoloss.report.fidelity`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, GetPydanticSchema

Text = Annotated[str, Field(pattern=r"\S")]
NO_TRANSFER = "no transfer"
STANDINGS = {
    "as written": "as written",
    "original's way": "silent: original's way",
    "our reading": "silent: our reading",
    NO_TRANSFER: "the original does not transfer",
}


class Statement(NamedTuple):
    """One aspect: what the source says of it and where, how we stand to it, and what is done here.

    `where` is a section or an equation of the AutoLoss paper, or of the work that it names first.
    `standing` is one of the words of `STANDINGS`, or options with their values: then what is done
    is an option, and the default is another one. `deviation` is the row of docs/deviations.md that
    has the reasons, if there is one.
    """

    aspect: Text
    where: Text
    source: Text
    standing: (
        Literal["as written", "original's way", "our reading", "no transfer"]
        | Annotated[Mapping[str, Any], Field(min_length=1)]
    )
    here: Text = "the same"
    deviation: Annotated[str, Field(pattern=r"^([A-Z]\d+)?$")] = ""


Declared = Annotated[Any, GetPydanticSchema(lambda _, schema: schema(Statement))]  # in literals
Statements = tuple[Declared, ...]
