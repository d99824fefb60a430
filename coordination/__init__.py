"""The Coordinator: has topics made and retired for streams, and hands history requests to Producers that are free.

It instructs by rows and by task name and waits for the answer in its chart; it never does the work itself.
It deletes retired topics at the broker, and speaks to no provider.
"""
