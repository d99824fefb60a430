"""How Django writes times where none of our columns does."""
