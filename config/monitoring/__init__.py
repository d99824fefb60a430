"""What an operator watches: health, metrics, the `status` command, request timing.

These read rows and counters of the other packages and change nothing.
`metering/table.py` defines the metrics.
"""
