"""CryptoCompare: what is peculiar to it (`traits`), frames of its socket (`stream`), answers of its REST API (`rest`).

`provider` puts these behind the port.
"""
