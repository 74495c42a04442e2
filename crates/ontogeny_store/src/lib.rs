//! Keeps runs: metric tables, tensors, checkpoints, lineage, ledger; survives crashes; interprets nothing.
