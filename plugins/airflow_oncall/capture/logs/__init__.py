"""Polling logs: sources say what happened, signatures say what of it is trouble, correlation says whose trouble it is."""
