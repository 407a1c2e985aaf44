"""HTTP/1.1 between clients and a WSGI application, under gunicorn's arbiter.

`arrival` makes requests of octets, `answer` makes octets of what the application says, `worker` is
the loop and its threads. Nothing here knows what is asked.
"""
