-- What an answer of the provider's covers rests on its candles; safe to repeat.
update coverage set proof = 'candle' where source = 'provider';
