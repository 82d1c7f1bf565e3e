"""What to do about a sample: which are likely wrong, which to take out."""
