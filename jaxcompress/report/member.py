"""One row of a report: a compressed network, as it was judged."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Member:
    """A compressed network of a front.

    Attributes:
        method: which search found it.
        validation_error: on the validation split after fine-tuning, by the quality
            objective of the run: of a classifier the share of wrong labels, 0..1.
        size: bytes of the parameter part; of the file, where there is one.
        macs: multiply-accumulates of one example.
        energy: of one example, mJ, by the dataflow and the table of the run; None: not
            known.
        bits: mean bits of a weight; None: not saved.
        test_error: on the test split, likewise; of the saved file, where there is one;
            None: not judged yet.
        parameters: bytes of the file's parameter part; None: not saved.
        file: bytes of the whole file; None: not saved.
        path: of the file, relative to the run directory; "" if it was not saved.
    """

    method: str
    validation_error: float
    size: float
    macs: float
    energy: float | None = None
    bits: float | None = None
    test_error: float | None = None
    parameters: int | None = None
    file: int | None = None
    path: str = ""

    def row(self) -> dict[str, str | float | int | None]:
        """Returns the member as a row of front.csv."""
        return asdict(self)
