"""Other stacks as servers of an endless body: programs of their own, never imported by ours.

Each is run as `python -m`, with the stack it drives as the only thing it needs, says `ready`, and
answers whatever it is asked with a body that does not end.
"""
