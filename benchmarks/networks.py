"""The networks that are compared: ours and the peers', by this package's names.

All give logits of 1,000 classes from square RGB images. None has trained weights.
"""

KERAS_APPLICATIONS = {
    **{f"efficientnet-b{i}": f"EfficientNetB{i}" for i in range(8)},
    **{f"efficientnetv2-b{i}": f"EfficientNetV2B{i}" for i in range(4)},
    **{f"efficientnetv2-{size}": f"EfficientNetV2{size.upper()}" for size in "sml"},
}
KERAS_HUB = {f"efficientnet-b{i}" for i in range(8)}


def ours(name: str, size: int):
    import efficientnet_tf as en

    return en.build_model(name, input_shape=(size, size, 3), classifier_activation=None)


def of_keras_applications(name: str, size: int):
    import keras

    build = getattr(keras.applications, KERAS_APPLICATIONS[name])
    return build(weights=None, input_shape=(size, size, 3), classifier_activation=None)


def of_keras_hub(name: str, size: int):
    """KerasHub's backbone with this package's table of blocks, and its classifier."""
    import keras_hub

    from efficientnet_tf.arch.variants import model_config

    config = model_config(name)
    blocks = config.blocks
    backbone = keras_hub.models.EfficientNetBackbone(
        width_coefficient=config.width_coefficient,
        depth_coefficient=config.depth_coefficient,
        stackwise_kernel_sizes=[block.kernel_size for block in blocks],
        stackwise_num_repeats=[block.num_repeat for block in blocks],
        stackwise_input_filters=[block.input_filters for block in blocks],
        stackwise_output_filters=[block.output_filters for block in blocks],
        stackwise_expansion_ratios=[block.expand_ratio for block in blocks],
        stackwise_strides=[block.strides for block in blocks],
        stackwise_squeeze_and_excite_ratios=[block.se_ratio for block in blocks],
        stackwise_block_types=["v1"] * len(blocks),
        input_shape=(size, size, 3),
        dropout=1 - config.survival_prob,
    )
    return keras_hub.models.EfficientNetImageClassifier(
        backbone, num_classes=1000, dropout=config.dropout_rate
    )


def of_timm(name: str, training: bool):
    """timm's network in the layout that its convolutions are fastest in."""
    import timm
    import torch

    peer = "tf_" + name.replace("-", "_")
    model = timm.create_model(peer, drop_path_rate=0.2, drop_rate=0.2)
    return model.train(training).to(memory_format=torch.channels_last)


def torch_images(images):
    """NumPy's [N, H, W, C] for such a network, without a copy."""
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2)


def with_statistics(model):
    """Gives batch norm random statistics: a graph optimizer drops a fresh network's 0 and 1."""
    import numpy as np

    draw = np.random.default_rng(1)
    for variable in model.weights:
        role = variable.path.rpartition("/")[2]
        if role in ("gamma", "moving_variance"):
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
        elif role in ("beta", "moving_mean"):
            variable.assign(draw.normal(0, 0.1, variable.shape))
    return model
