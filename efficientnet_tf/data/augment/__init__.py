"""AutoAugment, RandAugment, random erasing, mixup and CutMix."""
