"""A stream configuration (XML) to a chain of gadgets, with their parameters."""
