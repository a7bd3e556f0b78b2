"""What does Dagster load by itself? Every file and folder in here: `dg scaffold defs` adds more."""
