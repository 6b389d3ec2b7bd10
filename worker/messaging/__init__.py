"""
RabbitMQ: what exists in it, what comes in, what goes out.

Messages are transport here and nothing more. A delivery is acknowledged after its handler has returned, an outgoing
message is forgotten after RabbitMQ has confirmed it. Every connection may break at any moment: then a delivery comes
again, or a message leaves twice, and neither changes a trade.
"""
