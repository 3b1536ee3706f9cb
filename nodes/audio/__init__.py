"""Audio for nodes: G.711, codecs, sample rates, packets and WAV files."""
