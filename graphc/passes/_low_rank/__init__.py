"""What low_rank, merge_low_rank and prune_ranks share: layers, families, chains, times."""
