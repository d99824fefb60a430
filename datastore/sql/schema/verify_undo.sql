drop function differences(int, timestamptz, timestamptz);
