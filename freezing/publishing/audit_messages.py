"""What the process that audits is asked, and what it answers: typed records, read strictly."""

from typing import Annotated

from pydantic import Field

from freezing.running.record_fields import Count, Name, Record

_Ops = dict[Annotated[str, Field(max_length=1000)], Count]


class ExpectedTensors(Record):
    """The tensors that the graph must have."""

    input: Name
    outputs: tuple[Name, ...]


class Examined(Record):
    """What the audit counted in the bytes themselves."""

    allow_list: Annotated[str, Field(max_length=64)]
    ops: _Ops
    nodes: Count
    functions: Count
    onnx: list[_Ops]

    def as_audit(self) -> dict[str, object]:
        """Return the audit as it stands in a manifest."""
        return {
            "verdict": "allowed",
            "allow_list": self.allow_list,
            "ops": self.ops,
            "functions": self.functions,
        }


class Refused(Record):
    """Why what was frozen is not published."""

    refused: Annotated[str, Field(max_length=2000)]
