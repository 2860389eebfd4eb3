"""How far a study is, from its records, logs and checkpoints alone: no process is asked."""
