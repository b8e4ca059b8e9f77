"""The fault lab: provokes real faults on real engines and records what they log. Its output is the shipped corpus."""
