"""``flowcore doctor``: takes a first live call, whatever it is like, and says what it was like."""
