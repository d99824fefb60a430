"""What is measured beside Candlekeep, each as the documentation of its libraries shows it, and Candlekeep itself.

What has an environment of its own (benchmarks/peer_installs.py) imports nothing from here but gate.py and
stream_batches.py.
"""
