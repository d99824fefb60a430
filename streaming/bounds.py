"""How small and how large a price, an amount, a time or a number may be, at each gate that a trade passes.

1. The provider's frame: a number outside PROVIDER_EXPONENTS is garbage, and the market's span ends at it.
2. The wire: a record outside of MIN_WIRE to MAX_WIRE cannot be read. This gate only keeps out what nobody can compute
   with (1e999999999), so it is wide, and lets the next one refuse a trade whose market and number are known.
3. The database: a trade outside of MIN_STORED to MAX_STORED is refused, and its market's span ends at it. It is
   narrower because quote volumes multiply a price by an amount, and add the products up.
"""

from __future__ import annotations

from decimal import Decimal

MAX_BIGINT = 2**63 - 1  # the largest number a column of the database holds
# Every stamp and time of a trade lies between these, in microseconds: 1970 and 2100. One in another unit does not.
MIN_TIME_US, MAX_TIME_US = 0, 4_102_444_800_000_000
MIN_WIRE, MAX_WIRE = Decimal("1e-40"), Decimal("1e40")  # both allowed
MIN_STORED, MAX_STORED = Decimal("1e-24"), Decimal("1e24")  # both excluded
# Exponents of a number's first digit; the last digit may not lie behind the smallest either.
PROVIDER_EXPONENTS = range(MIN_WIRE.adjusted(), MAX_STORED.adjusted() + 1)
