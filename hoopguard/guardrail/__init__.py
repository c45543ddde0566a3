"""What may be said: words and patterns, on requests and answers."""
