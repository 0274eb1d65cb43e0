"""What masks hold and in which ways it can be classes; a choice only where there is one."""
