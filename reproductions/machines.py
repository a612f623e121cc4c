"""Classes of machines: seconds that one machine measured say little of a machine of another class."""

from reproductions.columns import TABLES

MEASURED = ["machine", "git_sha", "git_dirty", "date"]  # columns of a bench's table: where its rows come from
BENCHES = [name for name, columns in TABLES.items() if "machine" in columns]  # tables of results/bench
# Units of processors that decide the class, the best first, by PyTorch's names; and the names of their classes.
UNITS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "avx512_f": "AVX512", "avx2": "AVX2"}


def class_of(machine: str) -> str:
    """The class of a machine by what a bench's table says of it: CUDA where it has a GPU, or its best units."""
    parts = machine.split("; ")[2:]  # after the processor and its threads
    if [part for part in parts if part not in UNITS and not part.startswith("torch ")]:
        return "CUDA"
    return next((UNITS[part] for part in parts if part in UNITS), "other")
