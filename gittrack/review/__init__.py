"""What a change did to the metrics: the runs of both sides, the verdicts, and how they are told to people and hosts."""
