"""What is counted and measured: the table of all metrics, and how processes count together in shared files.

Every other package may import it; it imports none.
"""
