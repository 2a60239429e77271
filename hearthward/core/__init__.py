"""What all packages share: model, codes, wire format, errors, settings, clock, telemetry."""
