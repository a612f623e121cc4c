"""The gate: does the suite still say what it said? Three tiers, by what they cost.

exact: seconds. FLOPs to the unit; every committed file computed again, to the same bytes; every number vouched for.
live: minutes. A tiny real training, twice: the same bits, and accuracy and FLOPs where they were.
deep: on demand. A task trained again from scratch, its committed rows compared by interval.
"""
