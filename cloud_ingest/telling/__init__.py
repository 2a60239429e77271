"""What is told of an alarm, to whom and where: texts, addresses, places, and the outbox's rows."""
