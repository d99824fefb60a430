"""`manage.py up`: the child processes of one command, started, watched, restarted and stopped.

Why not circus or supervisor: both are daemons with a configuration file and a control socket of their own. Neither ends
its children when it is killed itself, stops them in a given order around two database servers, or ends a start that
cannot succeed with the last lines of the dead child. What is needed here is smaller than an adapter to them would be.
"""
