"""Core <-> protobuf: the only room that knows both.

Every module holds ``x_to_proto`` / ``x_from_proto`` pairs. What comes in is
hostile until checked: a message that breaks the protocol is a
`MalformedMessageError`, and nothing is allocated because a header says so.
"""
