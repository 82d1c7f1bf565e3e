"""Collections that can be fetched by name, and what fetches them."""
