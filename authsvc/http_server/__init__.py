"""HTTP/1.1 between clients and a WSGI application, under gunicorn's arbiter.

`request_parser` makes requests of octets. `response` makes octets of the application's answer.
`worker` has the loop and its threads. Nothing here knows what is asked.
"""
