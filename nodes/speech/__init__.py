"""Speech recognition for the node `transcribe`; the contract of speech engines is `flowcore.speech`.

`engines` holds one file per engine. A driver runs the engine for all tracks of one node: `local` cuts utterances and
decodes them in processes on this machine, `cloud` streams each track to a provider. `testing` has the conformance
suites. The modules beside these packages serve both drivers: the protocol `driver`, the config field `engine_choice`,
the texts of one track (`track_transcript`) and comparing words (`word_match`).
"""
