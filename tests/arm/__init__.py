"""The published wheels on Arm, emulated."""
