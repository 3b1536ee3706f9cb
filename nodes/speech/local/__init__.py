"""Recognition on this machine: utterances are cut per party, queued and decoded in processes of their own."""
