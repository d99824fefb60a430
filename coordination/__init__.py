"""The Coordinator: has topics made and retired for streams, and hands history requests to Producers, one at a time.

It instructs by rows and by task name and waits for the answer in its chart; it never does the work itself.
Nothing here speaks to a provider or to a broker.
"""
