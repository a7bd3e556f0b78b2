"""The store in a lake, for several machines: a catalog in Postgres, rows as Parquet in a bucket or
a folder that all share. Outside of it only `open_lake` is used."""
