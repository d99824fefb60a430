"""What is measured beside Candlekeep, each as the documentation of its libraries shows it, and Candlekeep itself.

Each runs in an environment of its own (benchmarks/peer_installs.py), so it imports gate.py alone of this project.
"""
