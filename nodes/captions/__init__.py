"""The captions page: stored calls, access, the page and its feed."""
