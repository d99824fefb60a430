"""OKX's protocol: its socket of every trade, its REST."""
