"""The jitter buffer: packets in order (`sequence`) and on the call's clock (`timeline`), skew corrected (`drift`)."""
