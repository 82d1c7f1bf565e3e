"""Collections as people have them on disk: a format a file, and what the formats share."""
