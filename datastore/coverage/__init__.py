"""What is proven about a stretch of time: coverage, gaps and the certificate made of them.

`certificate` is pure; `facts` reads what it is made of.
Nothing here writes a trade or asks a provider.
"""
