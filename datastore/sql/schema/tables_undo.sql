drop function bucket(int, timestamptz);
drop function instant(bigint);
drop function micros(timestamptz);
