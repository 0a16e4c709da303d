"""What several suites of `tests/aws` share: servers on this machine that stand in for AWS, and readers of the lake.

`emulator`    starts MiniStack in a process of its own; `launcher` and `containers` run inside that process
`proxy`       HTTP between a client and a server, with scripted faults
`lake`        published tables and logs as other clients read them
"""
