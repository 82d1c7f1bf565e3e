"""What makes models memorize less: one idea a file, each a small object that any training loop can call."""
