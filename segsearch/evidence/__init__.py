"""What a trial found: raw counts and samples of the shipped file, and the objectives that are functions of them."""
