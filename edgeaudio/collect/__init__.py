"""What a fleet reports over MQTT, collected into PostgreSQL."""
