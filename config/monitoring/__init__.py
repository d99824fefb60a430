"""What an operator watches: health, metrics, the `status` command, request timing.

It reads rows and counters of the other packages and changes nothing.
What is counted is defined in `metering/table.py`.
"""
