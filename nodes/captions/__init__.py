"""The captions page: what it shows, who may look, and how it is fed."""
