"""When nights run, what is known of the one that runs, and what its adapter does once it is served.

The night itself is `server.night`, in a process of its own; it says in one file how it stands. Servers read that file,
start nights that are due and show them; timers of the system start them where no server runs.
"""
