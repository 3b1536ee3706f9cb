"""What a recording is made of: its file as it grows, its journal, its metadata, its containers. No nodes."""
