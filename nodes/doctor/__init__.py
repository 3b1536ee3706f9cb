"""``flowcore doctor``: accepts a first live call of any kind, and reports on it."""
