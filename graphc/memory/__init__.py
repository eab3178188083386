"""Memory of a network before it runs: what is planned, and what fits in a budget."""

from graphc.mbs import Serialized
from graphc.memory.budgets import batch_search, largest_batch, lowered_within, plan, sweep_batches
from graphc.memory.plans import TARGETS, lowered, pinned_values, prepared
from graphc.memory.search import BatchPeak, LargestBatch, Search
from graphc.memory.serialization import mbs
from graphc.memory.sweeps import MemoryPoint, sweep_memory, swept

__all__ = [
    "TARGETS",
    "BatchPeak",
    "LargestBatch",
    "MemoryPoint",
    "Search",
    "Serialized",
    "batch_search",
    "largest_batch",
    "lowered",
    "lowered_within",
    "mbs",
    "pinned_values",
    "plan",
    "prepared",
    "sweep_batches",
    "sweep_memory",
    "swept",
]
