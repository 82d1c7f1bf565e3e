"""One HTML file that shows what was memorized: looked at, sent on, decided from; it never touches the network."""
