"""How SQL is run (`queries`) and where its files are (`sql_files`).

What a statement means is up to the package that runs it.
Nothing here knows a table.
"""
