"""What people know about failures: entries, the file that people exchange, and what is alike to an incident."""
