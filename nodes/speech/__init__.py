"""Speech engines, for the node `transcribe`.

``segmenter`` cuts a party's audio into utterances by what ``voice`` hears; ``worker`` has them turned into text by a
``decoder``, such as ``moonshine``; ``recognizer`` holds what all calls of a process share of it.
"""
