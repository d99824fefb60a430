"""Scripts for those who work on the code: what the code measures, how it is worded, and the picture of its packages.

Nothing of the product imports them, and they import nothing of it.
"""
