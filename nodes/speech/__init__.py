"""Speech engines, for the node `transcribe`, and what drives them. Their contract is `flowcore.speech`.

``choice`` is the field ``engine`` of a graph. Decoders (``moonshine``, ``whisper``): ``utterances`` has ``segmenter``
cut each party's audio by what ``voice`` hears, and decoded, short ones with their ``context``, by ``worker`` threads
of one ``recognizer``, each with a ``process``, which are fed by one ``line``. Providers (``google``), opened by
``provider``: ``streams`` has one ``streaming`` for each party, with a ``ring`` of audio to be heard again. Both kinds
are a ``driver`` and write through ``party``.
"""
