"""What did a person teach in this session? Turns, then detections, by phrases or a model."""
