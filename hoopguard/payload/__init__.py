"""Reading and rewriting model traffic: JSON, framing, wire formats, error shapes."""
