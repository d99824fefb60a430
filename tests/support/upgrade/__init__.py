"""Dumps of the schemas of releases, with rows of every kind, and what is asked of a database made from one."""
