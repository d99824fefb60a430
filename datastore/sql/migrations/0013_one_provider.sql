-- Until now the row's key was what the only provider calls itself.
update provider_clock set identity = provider, provider = 'cryptocompare';
