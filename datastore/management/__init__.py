"""Commands of `manage.py` about markets, history, keys and engines.

They read arguments, call one function of the packages below, and print.
"""
