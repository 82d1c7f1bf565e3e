"""What to do about memorized samples: rank them, take them out of the data, and see what that costs."""
