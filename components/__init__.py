"""KFP components: one thin wrapper a step, one folder a step."""
