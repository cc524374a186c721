"""What agents publish, received and read: subscriptions that last, and the wire contract's payloads as values.

For programs that know agents by docs/mqtt.md alone: dashboard/ and collect/.
"""
