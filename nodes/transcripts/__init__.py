"""What a written transcript is made of: its journal, its formats, its metadata. No nodes."""
