"""The call log: a row for each ended call, in SQLite or PostgreSQL.

- `flowcore.call_log.rows`: the row of a call
- `flowcore.call_log.journal`: the file to which each process appends rows at once
- `flowcore.call_log.replay`: the thread that brings rows from all journals to the database
- `flowcore.call_log.database`: the table

A row goes to the journal first, so a database that is slow, full or away costs no call anything.
"""
