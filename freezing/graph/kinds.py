"""The kinds of nodes of a training graph, in the order in which they are reported."""

# `gradients` includes the ops that apply them; `optimizer_slots` counts variables; `queues` is
# everything that feeds a training by itself.
KINDS = (
    "gradients",
    "optimizer_slots",
    "savers",
    "summaries",
    "queues",
    "initializers",
    "other",
)
