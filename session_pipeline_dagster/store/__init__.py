"""What is kept, and how safely? The database: its tables, its transactions, its locks."""
