"""How far a study is, from its records, logs, checkpoints and locks: no process is asked."""
