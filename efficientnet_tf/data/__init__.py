"""The data room: sources, decoding, augmentation, and the pipeline that joins them."""
