"""Speech recognition for the node `transcribe`; the contract of speech engines is `flowcore.speech`.

`engines` holds one file per engine. A driver runs the engine for all tracks of one node: `local` cuts utterances and
decodes them in processes on this machine, `cloud` streams each track to a provider. `testing` has the conformance
suites. The modules beside these packages serve both drivers: their protocol and texts (`driver`), the config field
`engine_choice`, and comparing words (`word_match`).
"""
