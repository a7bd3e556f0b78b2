"""What does an author write? The contract of a processor, and the door through which it enters."""
