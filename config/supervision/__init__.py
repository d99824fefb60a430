"""One command's children: started, watched, restarted, stopped.

Why our own and not circus or supervisor: both are daemons with a configuration file and a control socket of their own,
neither takes its children along when it is killed, stops them in a given order around two database servers, or ends a
start that cannot succeed with the dead child's last words. What is needed here is smaller than their adapters.
"""
