"""What travels between coordinator and node: messages, their codec, and the handshake that comes first."""
