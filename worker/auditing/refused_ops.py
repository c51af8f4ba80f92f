"""Why ops outside the allow-list may not run, in sentences for a person."""

import re

_OUTSIDE = "reads or writes files"
_PROCESSES = "talks to other processes or opens sockets"

# The first that matches the op's name says why; the order is from the most telling to the least.
_REASONS: tuple[tuple[str, str], ...] = (
    (r"PyFunc", "runs Python code"),
    (r"Rpc|Remote|Collective|Nccl|Session|Heartbeat|Server|DataService|AllToAll", _PROCESSES),
    (r"(\A|Host|Host_|_)(Send|Recv)|CrossReplica|BigQuery|Bigtable|PubSub|Kafka", _PROCESSES),
    (r"Debug|DumpTensor", "is for debugging, and writes to files and sockets"),
    (r"File|Save|Restore|LoadAndRemap|Vocab|ImmutableConst|Shard|MergeV2Checkpoints", _OUTSIDE),
    (r"Summary|ImportEvent|Proto|Skipgram|NegTrain|Calibration|CustomAggregator", _OUTSIDE),
    (r"Xla|XLA|CustomCall|Mlir", "compiles and runs a program of its own"),
    (r"Tpu|TPU|Infeed|Outfeed|DTensor|Relayout|Mesh|SparseCore|Host|Device", "drives a device"),
    (r"\A_*(Mkl|Fused|UnaryOps|Copy|ScopedAllocator|Parallel)", "is made for one machine"),
    (r"\AInplace|Mutex|BatchFunction|\A(Unb|B)atch\Z", "changes memory that outlives a run"),
    (r"\A(Abort|Sleep)", "stops the process or holds it up"),
)


def why_unsafe(op: str) -> str | None:
    """Return what is wrong with running `op`, if that is known: "reads or writes files"."""
    return next((why for pattern, why in _REASONS if re.search(pattern, op)), None)
