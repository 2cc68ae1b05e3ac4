"""Sizes of the notebooks in fast mode, by name: they replace those in the cell with the tag "parameters"."""

REVIEWERS = {
    "stability": {"widths": (32,), "length": 20},
    "step_size": {"widths": (16,), "per_octave": 1, "kernel_time": 2.0, "patience": 2.0, "seeds": 2},
    "second_order": {
        "widths": (16,), "rates_at": 16, "steps": 10, "largest_fraction": 2.0, "per_octave": 1, "patience": 0.5,
        "least_steps": 5, "samples": 8, "seeds": 1,
    },
    "minima": {
        "widths": (16, 32), "readouts": ("last",), "success_widths": (4, 8), "success_seeds": 2, "seeds": 3,
        "success_patience": 3.0, "radii": (0.1, 1.0, 8.0), "searches": 1, "points": 5,
    },
    "regimes": {"widths": (16, 32), "plane_up_to": 16, "alphas": (16.0,), "target": 0.5, "test": 50, "seeds": 2},
    "random_features": {"dimensions": (2, 4), "features": 32, "width": 16, "steps": 50, "samples": 32, "test": 100},
}  # fmt: skip

SMALL = {
    "01_quickstart": {"WIDTH": 64, "STEPS": 50},
    "02_what_is_lazy_training": {
        "WIDTHS": (16, 64),
        "STEPS": 60,
        "SCALED_WIDTH": 24,
        "SCALED_STEPS": 60,
        "LAW": {"width": 16, "seeds": 2, "alphas": (3.0, 30.0), "target": 0.5},
    },
    "03_the_tangent_kernel": {"WIDTH": 128},
    "04_width": {"WIDTHS": (16, 32, 64), "SEEDS": 3, "STEPS": 60, "ENSEMBLE_WIDTH": 64, "MEMBERS": 8},
    "05_step_size_and_phases": {"WIDTH": 64, "STEPS": 60, "PHASES": {"widths": (16,), "seeds": 2}},
    "06_the_reviewers": {"SETTINGS": REVIEWERS},
    "07_your_own_network": {
        "UNITS": 12,
        "STEPS": 40,
        "WIDTH": 64,
        "RNN_STEPS": 60,
        "COUNTS": [3, 30, 300, 3000],
        "PENALTIES": [0.01, 0.1, 1.0, 10.0, 100.0],
    },
    "08_is_my_network_lazy": {"CHANNELS": 4, "STEPS": 60, "SEEDS": 2},
}
