"""A fleet's database in PostgreSQL, which collect writes and the dashboard reads: its layout, how it is reached."""
