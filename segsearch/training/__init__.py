"""How a network learns: schedule, losses, the loop, what a teacher says."""
