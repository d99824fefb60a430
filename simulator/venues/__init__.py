"""The same markets in the protocols of the venues themselves: each on a port of its own, with faults and limits."""
