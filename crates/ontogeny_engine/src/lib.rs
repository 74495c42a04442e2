//! Tensors, gradients, optimizers, addressed randomness; the only crate that names the tensor library.
