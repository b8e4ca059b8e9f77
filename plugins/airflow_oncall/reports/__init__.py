"""Reports for people: what failed, what was done about it, what it saved, and where it should become better."""
