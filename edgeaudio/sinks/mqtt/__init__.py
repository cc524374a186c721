"""The MQTT sink: events and health in, MQTT messages out; detections wait in the outbox until acknowledged."""
