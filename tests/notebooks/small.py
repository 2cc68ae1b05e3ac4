"""Sizes of the notebooks in fast mode, by name: they replace those in the cell with the tag "parameters"."""

REVIEWERS = {
    "required_width": {
        "samples": (8, 16), "lazy_samples": (8, 16), "lengths": (2, 4), "separations": (0.7, 1.0),
        "accuracies": (0.3, 0.1), "seeds": 2, "lazy_seeds": 2, "widest": 32, "lazy_widest": 32,
    },
    "data_model": {"models": ("random", "neuron"), "samples": 8, "seeds": 2, "widest": 32, "width": 32},
    "step_size": {"widths": (16,), "per_octave": 1, "kernel_time": 2.0, "patience": 2.0, "seeds": 2},
    "phases": {"widths": (16,), "phase_one": (0.1, 3.0), "phase_two_steps": 50},
    "width": {"widths": (16, 32), "readouts": ("last",), "variants": ("centred",), "steps": 50},
    "stability": {"widths": (32,), "length": 20},
    "gradient_bounds": {"widths": (16, 32), "readouts": ("last",), "radii": (0.1, 1.0, 8.0), "searches": 1, "seeds": 2},
    "minima": {
        "widths": (16, 32), "readouts": ("last",), "success_widths": (4, 8), "success_seeds": 2, "seeds": 2,
        "success_patience": 3.0, "radii": (0.1, 1.0, 8.0), "searches": 1, "points": 5,
    },
    "output_scale": {"networks": ("relu",), "data": ("digits",), "alphas": (3.0, 10.0), "target": 0.4, "seeds": 2},
    "regimes": {"widths": (16, 32), "plane_up_to": 16, "alphas": (16.0,), "target": 0.5, "test": 50, "seeds": 2},
    "random_features": {"dimensions": (2, 4), "features": 32, "width": 16, "steps": 50, "samples": 32, "test": 100},
    "infinite_width": {"widths": (16, 32), "readouts": ("last",), "variants": ("centred",)},
    "frozen_layers": {"widths": (16,), "kernel_time": 5.0, "seeds": 2},
    "early_sgd": {"widths": (16, 32), "kernel_time": 3.0, "seeds": 2},
    "loss_function": {
        "losses": ("squared", "logistic"), "widths": (16,), "samples": 8, "kernel_time": 15.0, "rates_up_to": 16,
        "largest_fraction": 2.0, "seeds": 2,
    },
    "kernel_evolution": {"widths": (16,), "samples": 16, "goal": 0.05, "seeds": 2},
    "practice": {"samples": (48,), "width": 16, "kernel_time": 50.0, "test": 50, "seeds": 2},
}  # fmt: skip

SMALL = {
    "01_quickstart": {"WIDTH": 64, "STEPS": 50},
    "02_what_is_lazy_training": {"WIDTHS": (16, 64), "STEPS": 60, "SCALED_WIDTH": 24, "SCALED_STEPS": 60},
    "03_the_tangent_kernel": {"WIDTH": 128},
    "04_width": {"WIDTHS": (16, 32, 64), "SEEDS": 3, "STEPS": 60, "ENSEMBLE_WIDTH": 64, "MEMBERS": 8},
    "05_step_size_and_phases": {"WIDTH": 64, "STEPS": 60, "SECOND_PHASE": 150},
    "06_the_reviewers": {"SETTINGS": REVIEWERS},
    "07_your_own_network": {
        "UNITS": 12,
        "STEPS": 40,
        "WIDTH": 64,
        "RNN_STEPS": 60,
        "COUNTS": [3, 30, 300, 3000],
        "PENALTIES": [0.01, 0.1, 1.0, 10.0, 100.0],
    },
    "08_is_my_network_lazy": {"CHANNELS": 4, "STEPS": 60},
}
