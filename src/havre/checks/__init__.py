"""Everything that can be known to be wrong before anything is touched: pure checks over facts the shell gathered."""
