"""What does a session file say? Lines of a transcript, read into typed, frozen records."""
