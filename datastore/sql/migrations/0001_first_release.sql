-- Storage settings that Django's models cannot express.

-- Rows that every batch updates in place: room on the page keeps the updates out of the indexes.
alter table market set (fillfactor = 20);
alter table candle set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
alter table coverage set (fillfactor = 50);
alter table feed_position set (fillfactor = 50);
