"""What runs a plan: flows, chains, borders, slots, threads, and the books of what went in and out."""
