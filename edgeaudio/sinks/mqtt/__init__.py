"""Third room: Events and health in, MQTT messages out, each kept on disk until acknowledged."""
