r"""Winning tickets of a small ResNet-VAE on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_vae_mnist.py \
        --config.data.download=true

Like experiments/vae_mnist.py, with residual networks of half the widths, initialized as
in the authors' code, and a cosine from 4e-3. The paper has winning tickets up to 93.1 %
(CIFAR-10, FID).

All gates pass at 36 % (3 runs, 14 min on one core of an AMD EPYC beside other jobs),
where a ticket is found: `fd_classifier` of dense 5.76 ± 0.28, winning 5.15 ± 0.31,
random 6.120 ± 0.019; further rounds have not been run. From 1e-3 dense has 13.5 ± 2.9.
With the widths of vae_mnist and a constant rate (NVIDIA H200) the deviation of dense,
4.70 ± 0.59, fails the gate; at 80 % winning 5.70 ± 0.65, random 6.50 ± 0.46.
"""

from gen_tickets.experiments import vae_mnist


def get_config(size="full"):
    config = vae_mnist.get_config(size)
    config.model.name = "resnet"
    config.model.widths = (8, 16, 32)
    config.optimizer.update(learning_rate=4e-3, schedule="cosine")
    return config
