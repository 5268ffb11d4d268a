"""amp_train: train physics-based humanoids to move like a mocap clip with Adversarial Motion Priors."""

__version__ = "0.1.0"
