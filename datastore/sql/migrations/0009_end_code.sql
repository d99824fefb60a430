-- Spans that ended before there were codes; safe to repeat.
update coverage set code = 'other' where reason is not null and code is null;
