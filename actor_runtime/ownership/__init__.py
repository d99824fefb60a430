"""Which process owns an actor: claiming a row, taking it over from a dead owner, sharing rows between processes.

A claim raises the row's epoch; a process that writes with an older epoch is fenced.
Nothing here runs an actor or knows what it does.
"""
