drop function market_heads(int[], interval);
