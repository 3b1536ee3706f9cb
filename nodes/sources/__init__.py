"""Listeners: flows begin here."""
