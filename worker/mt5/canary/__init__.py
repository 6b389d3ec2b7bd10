"""
The canary: the smallest position a broker takes, opened and closed again, to measure how the broker treats it.

`flight` is the parent's side, `observer` the child's; `questions` is what they say to each other.
"""
