"""What the platform runs on and how it is: servers, queues, disk, memory, schedules, statements, settings.

Everything is read; what cannot be known from here is said to be unknown, with the reason.
"""
