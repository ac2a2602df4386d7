"""Tables and the report."""

from pydantic import Field

from gram.config.base import Name, Section
from gram.config.scores import ScoreName


class TableRow(Section):
    """One line of a table: a run, on a benchmark, ranked by a score."""

    run: Name
    members: tuple[Name, ...] = Field(
        (),
        description=(
            "Runs that differ in their seed alone, whose mean and standard deviation the line "
            "shows; filled in where `run` has `seeds`. None: `run` itself is shown."
        ),
    )
    benchmark: Name
    score: ScoreName = "volume"
    label: str | None = Field(None, description="Text of the line; none: made of the names.")
    reference: Name | None = Field(
        None, description="Published numbers beside it: a name in config/paper_scores.csv."
    )

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs that it shows: one, or one a seed."""
        return self.members or (self.run,)

    def of_run(self, run: str) -> "TableRow":
        """Give the line of one of its runs."""
        return self.model_copy(update={"run": run, "members": ()})


class TableConfig(Section):
    """One table: which lines stand in it."""

    title: str
    rows: tuple[TableRow, ...] = Field(min_length=1)
    note: str = Field("", description="One sentence that stands below the table.")


class ReportConfig(Section):
    """The report: a folder that opens offline, in it a retrieval page a run and benchmark."""

    failures: int = Field(
        50,
        ge=0,
        description=(
            "Queries with the worst places shown on a retrieval page, for each score and direction."
        ),
    )
    others: int = Field(
        50, ge=0, description="Other queries shown there, evenly spaced over the rest."
    )
    retrieved: int = Field(5, ge=1, le=100, description="Candidates shown a query.")
    thumbnail_pixels: int = Field(
        96, ge=16, description="Pixels that the shorter side of a small picture keeps at least."
    )
    showcase: TableRow | None = Field(
        None,
        description=(
            "Run, benchmark and score whose recalls and volumes the report begins with; none: "
            "the last line of the first table."
        ),
    )
