"""Sockets that are served once a slot, and the WebSocket on them."""
