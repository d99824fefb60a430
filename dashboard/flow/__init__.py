"""The customer's interaction diagram, alive: what the boxes and arrows are, and what flows on them now."""
