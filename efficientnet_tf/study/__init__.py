"""The EfficientNet paper's studies of scaling, for any network."""
