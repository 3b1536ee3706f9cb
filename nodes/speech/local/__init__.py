"""Recognition on this machine: utterances are cut per track, queued, and decoded in processes of their own."""
