"""Terms of the lab, as the page and the README define them."""

from __future__ import annotations

from types import MappingProxyType

GLOSSARY = MappingProxyType(
    {
        "learners": "The three models that train side by side: the network, its first-order linearization around the "
        "initialization, and the kernel regressor with the empirical tangent kernel K₀ at initialization.",
        "gap": "RMS over samples and outputs of (network − linearized) at one step, in units of the RMS of the "
        "training targets about their mean: what there is to learn; under other losses than the squared one, in units "
        "of the linear learner's own RMS change on the training set. Quoted is its largest value over the recorded "
        "steps, on the test set unless said otherwise.",
        "initial gap": "The same in units of RMS(y − f₀), the initial residual on the training set. For an uncentred "
        "network that is mostly the size of its random f₀; for a centred one both agree if targets average to 0.",
        "f0_share": "‖f₀‖²/‖y − f₀‖² on the training set: the share of the initial residual that is the random f₀.",
        "motion": "How far training moved weights (‖θ_T − θ₀‖_F, also relative to ‖θ₀‖_F), the recurrent matrix "
        "(‖W_T − W₀‖₂), gates and kernel between the first and the last recorded step.",
        "drift": "Relative change of the tangent kernel on the training set, ‖K_T − K₀‖_F/‖K₀‖_F.",
        "gate": "Whether a ReLU unit is active, for one sample, time step and unit. Flipped gates are those that "
        "changed.",
        "lazy": "A network trains lazily if its gap stays small: it follows its linearization, and features hardly "
        "move.",
        "critical fraction c": "The learning rate in units of the critical one, η = c·2(1 + β)/λ_max(K₀) with momentum "
        "β; at c = 1 the linear model begins to diverge. Other losses: λ_max(H₀^½K₀H₀^½), with their curvature H₀.",
        "kernel time τ": "η·(batch/n)·t·λ_max(K₀)/2 after t steps, divided by 1 − β: one unit is one critical step "
        "over the full batch. Runs with different rates are compared at equal τ.",
        "readout": "Which time steps of the sequence the outputs see: the last one, all from the second on (the loss "
        "of the paper), or their mean.",
        "centred": "Outputs are f(θ) − f(θ₀), so that training starts from 0 and not from a random f₀.",
        "mean-field limit": "Output scale α₀/√m, α₀ = 2, with rates in units of the critical one: features move by "
        'O(1) at every width (`parametrization="mean_field"`), where they stop moving in the lazy limit, scale 1.',
        "arm": "One of the variants that a comparison sets side by side, such as a readout. Keys of the first arm have "
        "no suffix; those of a further arm end with its name.",
        "cell": "One measurement of a comparison, such as one width and one seed: one row of the table.",
    }
)
