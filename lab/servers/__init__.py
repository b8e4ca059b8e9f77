"""Small local servers that misbehave as told, so that real clients meet real faults without leaving this machine."""
