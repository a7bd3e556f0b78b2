"""Where are session files? Found, looked at and read, whatever holds them."""
