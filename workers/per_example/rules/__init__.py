"""One rule a layer type: every example's squared gradient norms from its inputs and cotangents."""
