"""What a study will cost, before anything runs: jobs, hours, memory, disk, downloads, wall time."""
