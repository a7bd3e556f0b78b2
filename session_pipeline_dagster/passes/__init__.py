"""How is one pass made? What is due, worked on, committed and reported; one pass, one processor."""
