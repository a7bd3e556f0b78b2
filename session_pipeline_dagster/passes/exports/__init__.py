"""What is written for other programs: tables, bills, numbers, and a copy for dashboards."""
