"""What joins the parts: command line, wiring, demo, doctor, the broker as a child."""
