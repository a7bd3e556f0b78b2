"""The store in one DuckDB file, for one machine. Outside of it only `DuckDBFile` is used."""
