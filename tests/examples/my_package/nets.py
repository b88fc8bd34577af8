"""A network of one's own: small, convolutional, normalised, smooth."""

import keras


def build(settings, input_shape, num_outputs, seed):
    """Build convolution, batch norm, softplus, pooling, and raw outputs.

    softplus is smooth, so that `traces` takes tr H by Hessian-vector products. The batch norm is called
    without `training`, so that it can be frozen. Initial weights depend on `seed` alone.

    Args:
        settings: `width`, the number of channels.
        input_shape: (height, width, channels).
        num_outputs: C.
        seed: Of the trial.
    """
    layers = keras.layers
    start = keras.initializers.HeNormal
    inputs = keras.Input(input_shape)
    x = layers.Conv2D(
        settings["width"], 3, use_bias=False, kernel_initializer=start(seed), name="conv"
    )(inputs)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("softplus", name="act")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = layers.Dense(num_outputs, kernel_initializer=start(seed + 1), name="outputs")(x)
    return keras.Model(inputs, outputs, name="smooth_net")
